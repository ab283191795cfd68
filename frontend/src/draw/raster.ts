/** Paints the cells of one line into pixels. No canvas here: arrays in, pixels out. */

import { type Magnitude, tableIndex } from "../model/magnitude";
import { NONFINITE, RECORDED, SCALE_SKIPPED } from "../model/marks";
import { columnSpan, type Timeline } from "../model/timeline";
import type { Inks, Tile } from "./ink";

export interface Raster {
  pixels: Uint32Array;
  width: number;
  height: number;
  /** Device pixels of one CSS pixel. */
  density: number;
}

/** One line's cells. */
export interface Strip {
  value: Float32Array;
  flags: Uint8Array;
}

/** Left ends of the columns in device pixels; the last entry is the right end of the last one. */
export function columnEdges(timeline: Timeline, density: number): Int32Array {
  const edges = new Int32Array(timeline.columns + 1);
  for (let column = 0; column < timeline.columns; column++) {
    const [left, right] = columnSpan(timeline, column);
    edges[column] = Math.round(left * density);
    edges[column + 1] = Math.round(right * density);
  }
  return edges;
}

/** Narrower cells stand without a gap, so that the colours are all there is to see. */
const NARROWEST_WITH_GAP = 8;
/** A bad cell takes this much of its neighbours' room: it is seen, however many steps there are. */
const NARROWEST_MARKED = 3;

/** Paints a strip between two heights in device pixels, clipped to the raster. */
export function paintStrip(
  raster: Raster,
  top: number,
  bottom: number,
  edges: Int32Array,
  strip: Strip,
  magnitude: Magnitude,
  inks: Inks,
): void {
  const marked: [Box, number][] = [];
  for (let column = 0; column + 1 < edges.length; column++) {
    const left = edges[column] as number;
    const right = rightEnd(left, edges[column + 1] as number, raster.density);
    const flags = strip.flags[column] as number;
    const value = strip.value[column] as number;
    const box = { left, right, top, bottom };
    if (flags & NONFINITE) marked.push([box, flags]);
    else if (!(flags & RECORDED)) paintTile(raster, box, inks.none);
    else if (isZero(value, magnitude)) paintZero(raster, box, magnitude, inks);
    else if (Number.isNaN(value)) paintTile(raster, box, inks.none);
    else fill(raster, box, inks.table[tableIndex(magnitude, value)] as number);
    if (flags & SCALE_SKIPPED) paintSkipped(raster, box, inks);
  }
  // Last, so that nothing is painted over them.
  for (const [box, flags] of marked) {
    const right = Math.max(box.right, box.left + Math.round(NARROWEST_MARKED * raster.density));
    paintMarks(raster, { ...box, right }, flags, inks);
    if (flags & SCALE_SKIPPED) paintSkipped(raster, box, inks);
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

function isZero(value: number, { scale }: Magnitude): boolean {
  return scale === "log10" ? value === Number.NEGATIVE_INFINITY : scale === "count" && value === 0;
}

function fill(raster: Raster, box: Box, ink: number): void {
  const { pixels, width, height } = raster;
  const left = Math.max(0, box.left);
  const right = Math.min(box.right, width);
  const bottom = Math.min(box.bottom, height);
  for (let y = Math.max(0, box.top); y < bottom; y++) {
    for (let x = left; x < right; x++) pixels[y * width + x] = ink;
  }
}

/** Repeats a tile from the box's top on, so that a line looks the same wherever it is scrolled. */
function paintTile(raster: Raster, box: Box, { size, pixels: texture }: Tile): void {
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

/** A flat line: recorded, and exactly zero. A count of zero is good news and gets no line. */
function paintZero(raster: Raster, box: Box, { scale }: Magnitude, inks: Inks): void {
  fill(raster, box, inks.zero);
  if (scale === "count") return;
  const thickness = Math.max(1, Math.round(raster.density));
  const middle = Math.floor((box.top + box.bottom - thickness) / 2);
  fill(raster, { ...box, top: middle, bottom: middle + thickness }, inks.zeroLine);
}

/** One band for each flag of the cell. */
function paintMarks(raster: Raster, box: Box, flags: number, inks: Inks): void {
  const marks = inks.marks.filter((mark) => flags & mark.flag);
  const bandHeight = (box.bottom - box.top) / marks.length;
  marks.forEach(({ tile }, band) => {
    const top = box.top + Math.round(band * bandHeight);
    const bottom = box.top + Math.round((band + 1) * bandHeight);
    paintTile(raster, { ...box, top, bottom }, tile);
  });
}

/** A dotted foot: the step was refused and handled. */
function paintSkipped(raster: Raster, box: Box, { skipped }: Inks): void {
  const height = 3 * Math.max(1, Math.round(raster.density));
  paintTile(raster, { ...box, top: box.bottom - height }, skipped);
}

/** Several lines as one: the worst of each column. What a closed lane shows. */
export function worstOf(strips: readonly Strip[], columns: number): Strip {
  const value = new Float32Array(columns).fill(Number.NaN);
  const flags = new Uint8Array(columns);
  for (const strip of strips) {
    for (let column = 0; column < columns; column++) {
      const candidate = strip.value[column] as number;
      const known = value[column] as number;
      if (Number.isNaN(known) || candidate > known) value[column] = candidate;
      flags[column] = (flags[column] as number) | (strip.flags[column] as number);
    }
  }
  return { value, flags };
}
