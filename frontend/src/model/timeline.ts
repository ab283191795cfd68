/** Where steps stand on the horizontal axis. Zooming later means another `first` and `last`. */

import { bisectRight, tickStep } from "d3-array";

/** A wider cell says nothing more; a run of five steps stays small. */
const WIDEST_STEP = 28;

export interface Timeline {
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. */
  edges: readonly number[];
  columns: number;
  /** Pixels of one step; below one where a pixel covers several. */
  pixelsPerStep: number;
  /** Pixels that the columns take, at most what is available. */
  width: number;
}

export function timelineOf(edges: readonly number[], available: number): Timeline {
  const steps = edges.length > 1 ? lastEdge(edges) - firstEdge(edges) : 0;
  const pixelsPerStep = steps > 0 ? Math.min(available / steps, WIDEST_STEP) : 0;
  return {
    edges,
    columns: Math.max(0, edges.length - 1),
    pixelsPerStep,
    width: steps * pixelsPerStep,
  };
}

/** Left end of a step in pixels. */
export function xOfStep(timeline: Timeline, step: number): number {
  return (step - firstEdge(timeline.edges)) * timeline.pixelsPerStep;
}

/** Left and right end of a column in pixels. */
export function columnSpan(timeline: Timeline, column: number): [number, number] {
  const { edges } = timeline;
  return [xOfStep(timeline, edges[column] ?? 0), xOfStep(timeline, edges[column + 1] ?? 0)];
}

/** The column that covers a step; -1 where none does. */
export function columnOfStep({ edges, columns }: Timeline, step: number): number {
  const column = bisectRight(edges as number[], step) - 1;
  return column >= 0 && column < columns ? column : -1;
}

/** The column at a pixel; -1 where there is none. */
export function columnAt(timeline: Timeline, x: number): number {
  if (x < 0 || x >= timeline.width) return -1;
  return columnOfStep(timeline, firstEdge(timeline.edges) + Math.floor(x / timeline.pixelsPerStep));
}

/** First and last step of a column. */
export function stepsOfColumn({ edges }: Timeline, column: number): [number, number] {
  return [edges[column] ?? 0, (edges[column + 1] ?? 1) - 1];
}

/** Whole steps at round numbers, at least `apart` pixels from one another. */
export function stepTicks(timeline: Timeline, apart: number): number[] {
  const { edges, width, columns } = timeline;
  if (columns === 0) return [];
  const [first, last] = [firstEdge(edges), lastEdge(edges) - 1];
  const wanted = Math.max(1, Math.floor(width / apart));
  const every = Math.max(1, tickStep(first, last + 1, wanted));
  const ticks: number[] = [];
  for (let step = Math.ceil(first / every) * every; step <= last; step += every) ticks.push(step);
  return ticks;
}

function firstEdge(edges: readonly number[]): number {
  return edges[0] ?? 0;
}

function lastEdge(edges: readonly number[]): number {
  return edges.at(-1) ?? 0;
}
