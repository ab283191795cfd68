/** The glyphs of NaN and Inf: a cross for NaN, a triangle up for +Inf, down for -Inf. */

import type { MarkName } from "../model/marks";
import { MARK_COLORS } from "../theme/colors";

/** Draws a glyph about a center, `size` wide. */
export function drawGlyph(
  context: CanvasRenderingContext2D,
  name: MarkName,
  x: number,
  y: number,
  size: number,
  color: string,
): void {
  const half = size / 2;
  context.beginPath();
  if (name === "nan") {
    context.moveTo(x - half, y - half);
    context.lineTo(x + half, y + half);
    context.moveTo(x + half, y - half);
    context.lineTo(x - half, y + half);
    context.lineWidth = Math.max(1.5, size / 4);
    context.strokeStyle = color;
    context.stroke();
    return;
  }
  const point = name === "pos_inf" ? y - half : y + half;
  const base = name === "pos_inf" ? y + half : y - half;
  context.moveTo(x, point);
  context.lineTo(x + half, base);
  context.lineTo(x - half, base);
  context.closePath();
  context.fillStyle = color;
  context.fill();
}

/** A glyph on a tile of its color, edged with the background so that it is visible over any cell. */
export function drawTile(
  context: CanvasRenderingContext2D,
  name: MarkName,
  x: number,
  y: number,
  size: number,
  edge: string,
): void {
  const { badge, glyph } = MARK_COLORS[name];
  context.fillStyle = edge;
  context.fillRect(x - 1, y - 1, size + 2, size + 2);
  context.fillStyle = badge;
  context.fillRect(x, y, size, size);
  drawGlyph(context, name, x + size / 2, y + size / 2, size * 0.52, glyph);
}
