/** Where steps stand on the horizontal axis, and which columns of a grid are in sight. */

import { bisectLeft, bisectRight, tickStep } from "d3-array";
import type { Range } from "./range";

/** A wider cell says nothing more; a run of five steps stays small. */
export const WIDEST_STEP = 28;

export interface Timeline {
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. They may reach beyond what is in sight. */
  edges: readonly number[];
  columns: number;
  /** The step at the left end; a fraction while one pans. */
  from: number;
  /** The step at the right end, which is no longer in sight. */
  to: number;
  /** Pixels of one step; below one where a pixel covers several. */
  pixelsPerStep: number;
  /** Pixels that the range takes, at most what is available. */
  width: number;
}

/** The timeline that shows `range`, or all of the columns, within `available` pixels. */
export function timelineOf(
  edges: readonly number[],
  available: number,
  range: Range = { from: edges[0] ?? 0, to: edges.length > 1 ? (edges.at(-1) as number) : 0 },
): Timeline {
  const { from, to } = range;
  const steps = Math.max(0, to - from);
  const pixelsPerStep = steps > 0 ? Math.min(available / steps, WIDEST_STEP) : 0;
  const columns = Math.max(0, edges.length - 1);
  return { edges, columns, from, to, pixelsPerStep, width: steps * pixelsPerStep };
}

/** Left end of a step in pixels. */
export function xOfStep({ from, pixelsPerStep }: Timeline, step: number): number {
  return (step - from) * pixelsPerStep;
}

/** The step at a pixel, with its fraction. */
export function stepAt({ from, pixelsPerStep }: Timeline, x: number): number {
  return pixelsPerStep > 0 ? from + x / pixelsPerStep : from;
}

/** Whether any part of a step is in sight. */
export function inSight({ from, to }: Timeline, step: number): boolean {
  return step + 1 > from && step < to;
}

/** Left and right end of a column in pixels. */
export function columnSpan(timeline: Timeline, column: number): [number, number] {
  const { edges } = timeline;
  return [xOfStep(timeline, edges[column] ?? 0), xOfStep(timeline, edges[column + 1] ?? 0)];
}

/** The column that covers a step; -1 where none does. */
export function columnOfStep(
  { edges, columns }: Pick<Timeline, "edges" | "columns">,
  step: number,
): number {
  const column = bisectRight(edges as number[], step) - 1;
  return column >= 0 && column < columns ? column : -1;
}

/** The column at a pixel; -1 where there is none. */
export function columnAt(timeline: Timeline, x: number): number {
  if (x < 0 || x >= timeline.width) return -1;
  return columnOfStep(timeline, Math.floor(stepAt(timeline, x)));
}

/** First and last step of a column. */
export function stepsOfColumn(
  { edges }: Pick<Timeline, "edges">,
  column: number,
): [number, number] {
  return [edges[column] ?? 0, (edges[column + 1] ?? 1) - 1];
}

/** The columns in sight: from the first to before the second. */
export function columnsInSight({ edges, columns, from, to }: Timeline): [number, number] {
  const begin = Math.max(0, bisectRight(edges as number[], from) - 1);
  const end = Math.min(columns, bisectLeft(edges as number[], to));
  return [begin, Math.max(begin, end)];
}

/** Whole steps at round numbers, at least `apart` pixels from one another. */
export function stepTicks({ from, to, width }: Timeline, apart: number): number[] {
  if (width <= 0) return [];
  const [first, last] = [Math.ceil(from), Math.ceil(to) - 1];
  const wanted = Math.max(1, Math.floor(width / apart));
  const every = Math.max(1, tickStep(first, last + 1, wanted));
  const ticks: number[] = [];
  for (let step = Math.ceil(first / every) * every; step <= last; step += every) ticks.push(step);
  return ticks;
}
