/** Where steps are on the horizontal axis, and which columns of a grid are visible. */

import { bisectLeft, bisectRight, tickStep } from "d3-array";
import { formatCount } from "./numbers";
import type { Range } from "./range";
import { LOG_STEPS, logTicks, STEPS, type StepScale, type Tick, timeTicks } from "./scale";

/** Cells grow no wider, so that a run of five steps stays small. */
export const WIDEST_STEP = 28;

export interface Timeline {
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. They may reach beyond the visible range. */
  edges: readonly number[];
  columns: number;
  /** The step at the left end; a fraction while one pans. */
  from: number;
  /** The step at the right end, which is no longer visible. */
  to: number;
  /** The scale of the axis; its unit is a step, a decade or a second. */
  scale: StepScale;
  /** The position of `from` on it. */
  start: number;
  /** Pixels of one unit of the scale. */
  pixelsPerUnit: number;
  /** Pixels that the range takes, at most what is available. */
  width: number;
}

/** The timeline that shows `range`, or all of the columns, within `available` pixels. */
export function timelineOf(
  edges: readonly number[],
  available: number,
  range: Range = { from: edges[0] ?? 0, to: edges.length > 1 ? (edges.at(-1) as number) : 0 },
  scale: StepScale = STEPS,
): Timeline {
  const { from, to } = range;
  const start = scale.position(from);
  const length = Math.max(0, scale.position(to) - start);
  const widest = scale.name === "step" ? WIDEST_STEP : Number.POSITIVE_INFINITY;
  const pixelsPerUnit = length > 0 ? Math.min(available / length, widest) : 0;
  const columns = Math.max(0, edges.length - 1);
  const width = length * pixelsPerUnit;
  return { edges, columns, from, to, scale, start, pixelsPerUnit, width };
}

/** Left end of a step in pixels. */
export function xOfStep({ scale, start, pixelsPerUnit }: Timeline, step: number): number {
  return (scale.position(step) - start) * pixelsPerUnit;
}

/** The middle of a step in pixels. */
export function middleOfStep(timeline: Timeline, step: number): number {
  return (xOfStep(timeline, step) + xOfStep(timeline, step + 1)) / 2;
}

/** The step at a pixel, with its fraction. */
export function stepAt({ from, scale, start, pixelsPerUnit }: Timeline, x: number): number {
  return pixelsPerUnit > 0 ? scale.step(start + x / pixelsPerUnit) : from;
}

/** Whether any part of a step is visible. */
export function isVisible({ from, to }: Timeline, step: number): boolean {
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

/** First and last step of a column. */
export function stepsOfColumn(
  { edges }: Pick<Timeline, "edges">,
  column: number,
): [number, number] {
  return [edges[column] ?? 0, (edges[column + 1] ?? 1) - 1];
}

/** The visible columns: from the first to before the second. */
export function visibleColumns({
  edges,
  columns,
  from,
  to,
}: Pick<Timeline, "edges" | "columns" | "from" | "to">): [number, number] {
  const begin = Math.max(0, bisectRight(edges as number[], from) - 1);
  const end = Math.min(columns, bisectLeft(edges as number[], to));
  return [begin, Math.max(begin, end)];
}

/** Ticks at round values, at least `spacing` pixels from one another. */
export function ticksOf(timeline: Timeline, spacing: number): { x: number; text: string }[] {
  const { scale, start, pixelsPerUnit, from, to, width } = timeline;
  if (width <= 0) return [];
  const inPixels = ({ position, text }: Tick) => ({ x: (position - start) * pixelsPerUnit, text });
  if (scale.name === "wall") {
    return timeTicks(start, scale.position(to), spacing / pixelsPerUnit).map(inPixels);
  }
  if (scale === LOG_STEPS) {
    return logTicks(Math.ceil(from), Math.ceil(to) - 1, pixelsPerUnit).map(inPixels);
  }
  return stepTicks(timeline, spacing).map((step) => ({
    x: middleOfStep(timeline, step),
    text: formatCount(step),
  }));
}

/** Whole steps at round numbers, at least `spacing` pixels from one another. */
export function stepTicks(
  { from, to, width }: Pick<Timeline, "from" | "to" | "width">,
  spacing: number,
): number[] {
  if (width <= 0) return [];
  const [first, last] = [Math.ceil(from), Math.ceil(to) - 1];
  const wanted = Math.max(1, Math.floor(width / spacing));
  const every = Math.max(1, tickStep(first, last + 1, wanted));
  const ticks: number[] = [];
  for (let step = Math.ceil(first / every) * every; step <= last; step += every) ticks.push(step);
  return ticks;
}
