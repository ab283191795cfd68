/** Badges on first bad cells, and the origin: where NaN and Inf begin, at any zoom. */

import type { Strip } from "../model/cells";
import { MARKS, type Mark, NONFINITE } from "../model/marks";
import { columnOfStep, columnSpan, isVisible, type Timeline } from "../model/timeline";
import { drawTile } from "./glyphs";

/** The origin is at least this wide, however many steps are in view. */
export const ORIGIN_WIDTH = 12;
const BADGE = 14;

/** A place among the cells of a canvas, in CSS pixels. */
export interface CellBox {
  left: number;
  width: number;
  top: number;
  height: number;
}

/** The cell of a step; undefined where it is out of view. A narrow one is widened to `least`. */
export function cellBox(
  timeline: Timeline,
  step: number,
  top: number,
  height: number,
  least: number,
): CellBox | undefined {
  const column = columnOfStep(timeline, step);
  if (column < 0 || !isVisible(timeline, step)) return undefined;
  const [from, to] = columnSpan(timeline, column);
  const [left, right] = [Math.max(0, from), Math.min(timeline.width, to)];
  const width = Math.max(least, right - left);
  return { left: Math.max(0, Math.min(left, timeline.width - width)), width, top, height };
}

/** Glyphs on the first bad cell of a row: later ones stay plain, so that the front is seen. */
export function drawBadges(
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  strip: Strip,
  firstStep: number,
  [top, height]: readonly [number, number],
  ground: string,
): void {
  const box = cellBox(timeline, firstStep, top, height, 0);
  const marks = marksAt(timeline, strip, firstStep);
  if (!box || marks.length === 0) return;
  const size = Math.min(height, BADGE) - 2;
  const width = marks.length * (size + 1) - 1;
  // On the cell, and centered in one that is wider.
  const x = Math.min(box.left + Math.max(1, (box.width - 1 - width) / 2), timeline.width - width);
  marks.forEach(({ name }, index) => {
    drawTile(context, name, x + index * (size + 1), top + (height - size) / 2, size, ground);
  });
}

/** The origin: a ring about its cell in the color of its severity, with the badge in it. */
export function drawOrigin(
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  strip: Strip | undefined,
  step: number,
  [top, height]: readonly [number, number],
  { color, ground }: { color: string; ground: string },
): void {
  const box = cellBox(timeline, step, top, height, ORIGIN_WIDTH);
  if (!box) return;
  const [mark] = strip ? marksAt(timeline, strip, step) : [];
  if (mark) {
    const size = Math.min(box.width, height) - 2;
    drawTile(
      context,
      mark.name,
      box.left + (box.width - size) / 2,
      top + (height - size) / 2,
      size,
      ground,
    );
  }
  // The ground about the ring tells it from any cell.
  for (const [width, stroke] of [
    [5, ground],
    [2, color],
  ] as const) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.strokeRect(box.left, top, box.width, height);
  }
}

function marksAt(timeline: Timeline, { flags }: Strip, step: number): Mark[] {
  const marked = (flags[columnOfStep(timeline, step)] ?? 0) & NONFINITE;
  return MARKS.filter((mark) => marked & mark.flag);
}
