/** Draws the visible part of the heatmap: cells, glyphs, the selected cell. */

import { gridRow, mergedRow, type Strip } from "../model/cells";
import type { Selection } from "../model/cursor";
import { type Line, type Lines, lineOf, linesWithin, stripBox, tensorsOf } from "../model/lanes";
import type { Magnitude } from "../model/magnitude";
import { isVisible, type Timeline, visibleColumns, xOfStep } from "../model/timeline";
import type { Theme } from "../theme/colors";
import type { Grid } from "../wire/grid";
import { GUTTER, surfaceOf } from "./canvas";
import { cellColorsOf, colorsFor, colorWord, type Tile } from "./cell_colors";
import { cellBox, drawBadges, drawOrigin, ORIGIN_WIDTH } from "./marks";
import { columnPixelsOf, fill, paintStrip, paintTile, type Raster } from "./raster";

/** A narrower pause is not drawn. */
const NARROWEST_PAUSE = 4;
/** What is between pauses is at least this wide. */
const LEAST_SESSION = 2;

export interface HeatmapPicture {
  /** From the coarsest to the finest; each shows where the next one does not reach. */
  layers: readonly Grid[];
  lines: Lines;
  /** Which strip of each line is drawn. */
  strip: number;
  /** The visible steps, in the columns of the finest layer. */
  timeline: Timeline;
  magnitude: Magnitude;
  theme: Theme;
  /** What is in view, in CSS pixels; the width from the gutter on. */
  scrollTop: number;
  width: number;
  height: number;
  selection: Selection | null;
  /** Of each tensor with NaN or Inf the first step with one. */
  firstSteps: ReadonlyMap<string, number>;
  /** Where the open finding began; null for none. */
  origin: Origin | null;
  /** Steps with a vertical line. */
  marked: readonly MarkedStep[];
}

export interface Origin extends Selection {
  color: string;
}

export interface MarkedStep {
  step: number;
  color: string;
}

export function drawHeatmap(canvas: HTMLCanvasElement, picture: HeatmapPicture): void {
  const surface = surfaceOf(canvas, GUTTER + picture.width, picture.height);
  if (!surface) return;
  const { context, density } = surface;
  const { lines, timeline, theme, scrollTop, magnitude, layers } = picture;
  // Only as wide as the visible steps: cells that reach beyond them are cut.
  const width = Math.max(1, Math.round(timeline.width * density));
  const image = imageOf(canvas, context, width);
  const pixels = new Uint32Array(image.data.buffer).fill(0);
  const raster: Raster = { pixels, width, height: canvas.height, density };
  const mixed = cellColorsOf(theme, density);
  const colors = colorsFor(mixed, magnitude);
  const shown = needed(layers, timeline).map((grid) => ({ grid, timeline: alike(timeline, grid) }));
  for (const line of linesWithin(lines, scrollTop, scrollTop + picture.height)) {
    const [top, height] = stripBox(line, lines, picture.strip);
    const from = Math.round((top - scrollTop) * density);
    const to = Math.round((top - scrollTop + height) * density);
    for (const { grid, timeline } of shown) {
      const strip = stripOf(grid, line);
      if (!strip) continue;
      const columnPixels = columnPixelsOf(timeline, density, ...visibleColumns(timeline));
      paintStrip(raster, from, to, columnPixels, strip, magnitude, colors);
    }
  }
  paintPauses(raster, timeline, theme, mixed.none);
  context.putImageData(image, Math.round(GUTTER * density), 0);
  context.translate(GUTTER, 0);
  for (const mark of picture.marked) drawMarkedStep(context, picture, mark);
  const finest = shown.at(-1);
  for (const line of linesWithin(lines, scrollTop, scrollTop + picture.height)) {
    const strip = finest && stripOf(finest.grid, line);
    if (!strip) continue;
    const first = firstStepOf(line, picture.firstSteps);
    if (first === undefined) continue;
    const [top, height] = stripBox(line, lines, picture.strip);
    const box = [top - scrollTop, height] as const;
    drawBadges(context, finest.timeline, strip, first, box, theme.ground);
  }
  if (picture.selection) drawSelection(context, picture, picture.selection);
  // Last, so that the selection does not hide it.
  if (picture.origin) drawOriginCell(context, picture, picture.origin, finest);
}

/** The first step at which a tensor of the line is bad. */
function firstStepOf(line: Line, firstSteps: ReadonlyMap<string, number>): number | undefined {
  if (firstSteps.size === 0) return undefined;
  let first: number | undefined;
  for (const { id } of tensorsOf(line)) {
    const step = firstSteps.get(id);
    if (step !== undefined && (first === undefined || step < first)) first = step;
  }
  return first;
}

function drawOriginCell(
  context: CanvasRenderingContext2D,
  { lines, strip: index, scrollTop, height: visible, theme }: HeatmapPicture,
  { tensor, step, color }: Origin,
  finest: { grid: Grid; timeline: Timeline } | undefined,
): void {
  const line = lineOf(lines, tensor);
  if (!line || !finest) return;
  const [top, height] = stripBox(line, lines, index);
  const y = top - scrollTop;
  if (y + height < 0 || y > visible) return;
  const strip = stripOf(finest.grid, line);
  const colors = { color, ground: theme.ground };
  drawOrigin(context, finest.timeline, strip, step, [y, height], colors);
}

/** The cell of the step after a pause covers the pause too, in which nothing was recorded. */
function paintPauses(
  raster: Raster,
  { scale, start, pixelsPerUnit }: Timeline,
  theme: Theme,
  tile: Tile,
): void {
  const least = LEAST_SESSION * raster.density;
  let before = 0;
  for (const ends of scale.pauses) {
    const [begin, end] = ends.map((position) =>
      Math.round((position - start) * pixelsPerUnit * raster.density),
    ) as [number, number];
    // What was recorded before and after a long pause is never lost to it.
    const left = begin > -least ? Math.max(begin, before + least) : begin;
    const right = end < raster.width + least ? Math.min(end, raster.width - least) : end;
    before = right;
    if (right - left < NARROWEST_PAUSE * raster.density) continue;
    const box = { left, right, top: 0, bottom: raster.height };
    fill(raster, box, colorWord(theme.ground));
    paintTile(raster, box, tile);
  }
}

const images = new WeakMap<HTMLCanvasElement, ImageData>();

/** Reused at each frame: allocating megabytes sixty times a second causes pauses. */
function imageOf(
  canvas: HTMLCanvasElement,
  context: CanvasRenderingContext2D,
  width: number,
): ImageData {
  const known = images.get(canvas);
  if (known?.width === width && known.height === canvas.height) return known;
  const image = context.createImageData(width, canvas.height);
  images.set(canvas, image);
  return image;
}

/** The layers without those that finer ones hide completely. */
function needed(layers: readonly Grid[], { from, to }: Timeline): readonly Grid[] {
  const covers = ({ edges }: Grid) => (edges[0] ?? 0) <= from && (edges.at(-1) ?? 0) >= to;
  return layers.slice(Math.max(0, layers.findLastIndex(covers)));
}

/** The same visible steps, in the columns of another grid. */
function alike(timeline: Timeline, { edges }: Grid): Timeline {
  return { ...timeline, edges, columns: Math.max(0, edges.length - 1) };
}

/** The cells of a line; undefined where it shows none. */
function stripOf(grid: Grid, line: Line): Strip | undefined {
  if (line.kind === "tensor") return gridRow(grid, line.tensor.id);
  const tensors = tensorsOf(line);
  return tensors.some(({ id }) => gridRow(grid, id)) ? mergedRow(grid, tensors) : undefined;
}

function drawMarkedStep(
  context: CanvasRenderingContext2D,
  { timeline, height }: HeatmapPicture,
  { step, color }: MarkedStep,
): void {
  if (!isVisible(timeline, step)) return;
  context.fillStyle = color;
  context.fillRect(Math.max(0, Math.round(xOfStep(timeline, step)) - 1), 0, 1, height);
}

function drawSelection(
  context: CanvasRenderingContext2D,
  { lines, strip, timeline, theme, scrollTop, height, origin }: HeatmapPicture,
  { tensor, step }: Selection,
): void {
  const line = lineOf(lines, tensor);
  if (!line) return;
  const [stripTop, stripHeight] = stripBox(line, lines, strip);
  const top = stripTop - scrollTop;
  if (top + stripHeight < 0 || top > height) return;
  const isOrigin = origin?.tensor === tensor && origin.step === step;
  const box = cellBox(timeline, step, top, stripHeight, isOrigin ? ORIGIN_WIDTH : 3);
  if (!box) return;
  // Around the cell, not over it. Two outlines, in the colors of background and text, are visible
  // beside any neighbor.
  const outline = (distance: number, color: string) => {
    context.lineWidth = 2;
    context.strokeStyle = color;
    const x = Math.round(box.left) - distance;
    const width = Math.round(box.width) + 2 * distance;
    context.strokeRect(x, top - distance, width, box.height + 2 * distance);
  };
  outline(3, theme.ground);
  outline(1.5, theme.text);
}
