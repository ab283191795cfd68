/** Paints the cells of one line into pixels. No canvas here: arrays in, pixels out. */

import type { Strip } from "../model/cells";
import { type Magnitude, tableIndex } from "../model/magnitude";
import { NONFINITE, RECORDED, SCALE_SKIPPED } from "../model/marks";
import { columnSpan, type Timeline } from "../model/timeline";
import type { CellColors, Tile } from "./cell_colors";

export interface Raster {
  pixels: Uint32Array;
  width: number;
  height: number;
  /** Device pixels of one CSS pixel. */
  density: number;
}

/** Columns of one grid, side by side. */
export interface ColumnPixels {
  /** The first of the columns, as the grid counts them. */
  begin: number;
  /** Their left ends in device pixels; the last entry is the right end of the last one. */
  edges: Int32Array;
}

/** The columns `begin` to before `end`. */
export function columnPixelsOf(
  timeline: Timeline,
  density: number,
  begin = 0,
  end = timeline.columns,
): ColumnPixels {
  const edges = new Int32Array(Math.max(0, end - begin) + 1);
  for (let column = begin; column < end; column++) {
    const [left, right] = columnSpan(timeline, column);
    edges[column - begin] = Math.round(left * density);
    edges[column - begin + 1] = Math.round(right * density);
  }
  return { begin, edges };
}

/** Narrower cells have no gap between them, which would outweigh their colors. */
const NARROWEST_WITH_GAP = 8;
/** A NaN or Inf is at least this wide, at its neighbors' expense: it stays visible among any number of steps. */
const NARROWEST_MARKED = 3;

/** Paints a strip between two heights in device pixels, clipped to the raster. */
export function paintStrip(
  raster: Raster,
  top: number,
  bottom: number,
  { begin, edges }: ColumnPixels,
  strip: Strip,
  magnitude: Magnitude,
  colors: CellColors,
): void {
  const special: [Box, number, number][] = [];
  const marked: [Box, number][] = [];
  // Plain cells, which most are, as one line of pixels that is then copied down to the bottom.
  const highest = Math.max(0, top);
  const lowest = Math.min(bottom, raster.height);
  if (lowest <= highest) return;
  const { pixels, width } = raster;
  const line = highest * width;
  let [first, last] = [width, 0];
  for (let at = 0; at + 1 < edges.length; at++) {
    const left = edges[at] as number;
    const right = rightEnd(left, edges[at + 1] as number, raster.density);
    const flags = strip.flags[begin + at] as number;
    const value = strip.value[begin + at] as number;
    if ((flags & ~RECORDED) === 0 && flags && !Number.isNaN(value) && !isZero(value, magnitude)) {
      const color = colors.table[tableIndex(magnitude, value)] as number;
      const [from, to] = [Math.max(0, left), Math.min(right, width)];
      for (let x = from; x < to; x++) pixels[line + x] = color;
      first = Math.min(first, from);
      last = Math.max(last, to);
      continue;
    }
    const box = { left, right, top, bottom };
    if (flags & NONFINITE) marked.push([box, flags]);
    else special.push([box, flags, value]);
  }
  for (let y = highest + 1; y < lowest && last > first; y++) {
    pixels.copyWithin(y * width + first, line + first, line + last);
  }
  for (const [box, flags, value] of special) {
    if (!(flags & RECORDED)) paintTile(raster, box, colors.none);
    else if (isZero(value, magnitude)) paintZero(raster, box, magnitude, colors);
    else if (Number.isNaN(value)) paintTile(raster, box, colors.none);
    else fill(raster, box, colors.table[tableIndex(magnitude, value)] as number);
    if (flags & SCALE_SKIPPED) paintSkipped(raster, box, colors);
  }
  // Last, so that nothing is painted over them.
  for (const [box, flags] of marked) {
    const least = Math.round(NARROWEST_MARKED * raster.density);
    const left = Math.min(box.left, raster.width - least);
    paintMarks(raster, { ...box, left, right: Math.max(box.right, left + least) }, flags, colors);
    if (flags & SCALE_SKIPPED) paintSkipped(raster, box, colors);
  }
}

function rightEnd(left: number, right: number, density: number): number {
  return right - left >= NARROWEST_WITH_GAP * density ? right - Math.round(density) : right;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function isZero(value: number, { scale, signed }: Magnitude): boolean {
  if (signed) return false;
  return scale === "count" ? value === 0 : value === Number.NEGATIVE_INFINITY;
}

export function fill(raster: Raster, box: Box, color: number): void {
  const { pixels, width, height } = raster;
  const left = Math.max(0, box.left);
  const right = Math.min(box.right, width);
  const bottom = Math.min(box.bottom, height);
  if (right <= left) return;
  for (let y = Math.max(0, box.top); y < bottom; y++) {
    pixels.fill(color, y * width + left, y * width + right);
  }
}

/** Repeats a tile from the box's top on, so that a line looks the same wherever it is scrolled. */
export function paintTile(raster: Raster, box: Box, { size, pixels: texture }: Tile): void {
  const { pixels, width, height } = raster;
  const left = Math.max(0, box.left);
  const right = Math.min(box.right, width);
  const bottom = Math.min(box.bottom, height);
  for (let y = Math.max(0, box.top); y < bottom; y++) {
    const line = ((y - box.top) % size) * size;
    for (let x = left; x < right; x++) {
      pixels[y * width + x] = texture[line + (x % size)] as number;
    }
  }
}

/** A flat line: recorded, and exactly zero. A count of zero is normal and has no line. */
function paintZero(raster: Raster, box: Box, { scale }: Magnitude, colors: CellColors): void {
  fill(raster, box, colors.zero);
  if (scale === "count") return;
  const thickness = Math.max(1, Math.round(raster.density));
  const middle = Math.floor((box.top + box.bottom - thickness) / 2);
  fill(raster, { ...box, top: middle, bottom: middle + thickness }, colors.zeroLine);
}

/** One band for each flag of the cell. */
function paintMarks(raster: Raster, box: Box, flags: number, colors: CellColors): void {
  const marks = colors.marks.filter((mark) => flags & mark.flag);
  const bandHeight = (box.bottom - box.top) / marks.length;
  marks.forEach(({ tile }, band) => {
    const top = box.top + Math.round(band * bandHeight);
    const bottom = box.top + Math.round((band + 1) * bandHeight);
    paintTile(raster, { ...box, top, bottom }, tile);
  });
}

/** A dotted foot: loss scaling skipped the step. */
function paintSkipped(raster: Raster, box: Box, { skipped }: CellColors): void {
  const height = 3 * Math.max(1, Math.round(raster.density));
  paintTile(raster, { ...box, top: box.bottom - height }, skipped);
}
