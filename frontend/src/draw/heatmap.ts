/** Draws the part of the heatmap that is in view: cells, glyphs, the selected cell. */

import type { Selection } from "../model/cursor";
import { type Lines, linesWithin } from "../model/lanes";
import type { Magnitude } from "../model/magnitude";
import { columnOfStep, columnSpan, type Timeline, xOfStep } from "../model/timeline";
import type { Theme } from "../theme/colours";
import type { Grid } from "../wire/grid";
import { GUTTER, surfaceOf } from "./canvas";
import { inksOf } from "./ink";
import { drawMarks } from "./marks";
import { columnEdges, paintStrip, type Raster, type Strip, worstOf } from "./raster";

export interface HeatmapPicture {
  grid: Grid;
  lines: Lines;
  timeline: Timeline;
  magnitude: Magnitude;
  theme: Theme;
  /** What is in view, in CSS pixels; the width from the gutter on. */
  scrollTop: number;
  width: number;
  height: number;
  selection: Selection | null;
  /** Where the run's first non-finite value stands. */
  firstStep: number | null;
}

export function drawHeatmap(canvas: HTMLCanvasElement, picture: HeatmapPicture): void {
  const surface = surfaceOf(canvas, GUTTER + picture.width, picture.height);
  if (!surface) return;
  const { context, density } = surface;
  const { lines, timeline, theme, scrollTop, grid, magnitude } = picture;
  const image = context.createImageData(canvas.width, canvas.height);
  const raster: Raster = {
    pixels: new Uint32Array(image.data.buffer),
    width: canvas.width,
    height: canvas.height,
    density,
  };
  const inks = inksOf(theme, density);
  const edges = columnEdges(timeline, density);
  const strips = stripsInView(grid, lines, scrollTop, picture.height);
  for (const { strip, top, height } of strips) {
    const from = Math.round((top - scrollTop) * density);
    const to = Math.round((top - scrollTop + height) * density);
    paintStrip(raster, from, to, edges, strip, magnitude, inks);
  }
  context.putImageData(image, Math.round(GUTTER * density), 0);
  context.translate(GUTTER, 0);
  if (picture.firstStep !== null) drawFirstStep(context, picture, picture.firstStep);
  for (const { strip, top, height } of strips) {
    drawMarks(context, timeline, strip, top - scrollTop, height, theme.ground);
  }
  if (picture.selection) drawSelection(context, picture, picture.selection);
}

interface PlacedStrip {
  strip: Strip;
  top: number;
  height: number;
}

/** The strips of the lines in view. Rows keep a pixel of ground between them. */
function stripsInView(grid: Grid, lines: Lines, scrollTop: number, height: number): PlacedStrip[] {
  const columns = Math.max(0, grid.edges.length - 1);
  const rowOf = new Map(grid.rows.map((id, row) => [id, row]));
  const stripOf = (id: string): Strip[] => {
    const row = rowOf.get(id);
    if (row === undefined) return []; // Seen since this grid was asked for.
    const [from, to] = [row * columns, (row + 1) * columns];
    return [{ value: grid.value.subarray(from, to), flags: grid.flags.subarray(from, to) }];
  };
  return linesWithin(lines, scrollTop, scrollTop + height).flatMap((line) => {
    if (line.kind === "tensor") {
      const place = { top: line.top, height: line.height - 1 };
      return stripOf(line.tensor.id).map((strip) => ({ strip, ...place }));
    }
    if (line.open) return [];
    const strip = worstOf(
      line.lane.tensors.flatMap((tensor) => stripOf(tensor.id)),
      columns,
    );
    return [{ strip, top: line.top + 5, height: line.height - 10 }];
  });
}

function drawFirstStep(
  context: CanvasRenderingContext2D,
  { timeline, theme, height }: HeatmapPicture,
  step: number,
): void {
  if (columnOfStep(timeline, step) < 0) return;
  context.fillStyle = theme.alarm;
  context.fillRect(Math.max(0, Math.round(xOfStep(timeline, step)) - 1), 0, 1, height);
}

function drawSelection(
  context: CanvasRenderingContext2D,
  { lines, timeline, theme, scrollTop, height }: HeatmapPicture,
  { tensor, step }: Selection,
): void {
  const column = columnOfStep(timeline, step);
  if (column < 0) return;
  const [left, right] = columnSpan(timeline, column);
  const line = lines.lines.find((one) => one.kind === "tensor" && one.tensor.id === tensor);
  if (!line) return;
  const top = line.top - scrollTop;
  if (top + line.height < 0 || top > height) return;
  // Around the cell, not upon it. Two outlines, one of the ground and one of the text, stand out
  // of any neighbour.
  const outline = (distance: number, colour: string) => {
    context.lineWidth = 2;
    context.strokeStyle = colour;
    const x = Math.round(left) - distance;
    const width = Math.max(3, Math.round(right - left)) + 2 * distance;
    context.strokeRect(x, top - distance, width, line.height - 1 + 2 * distance);
  };
  outline(3, theme.ground);
  outline(1.5, theme.text);
}
