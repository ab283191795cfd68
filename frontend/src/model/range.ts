/** The visible steps, and how they are zoomed, moved and requested. */

import { STEPS, type StepScale } from "./scale";

/** Steps from `from` to before `to`; fractions while one pans. */
export interface Range {
  from: number;
  to: number;
}

/** Zooming in stops at this many steps. */
export const FEWEST_STEPS = 8;
/** A request's columns begin at multiples of this many, so that panning asks for few grids. */
const ALIGNED_COLUMNS = 64;
/** The margin that is loaded at both ends of the visible range, as a share of it. */
const MARGIN = 0.3;

export function spanOf({ from, to }: Range): number {
  return to - from;
}

/** The same ends as positions on the axis. */
function positions({ from, to }: Range, { position }: StepScale): Range {
  return { from: position(from), to: position(to) };
}

function stepped({ from, to }: Range, { step }: StepScale): Range {
  return { from: step(from), to: step(to) };
}

/** Length of a range on the axis. */
export function lengthOf(range: Range, scale: StepScale): number {
  return spanOf(positions(range, scale));
}

/** The range moved and shortened so that it lies within `whole`. */
export function within(range: Range, whole: Range, scale: StepScale = STEPS): Range {
  const all = positions(whole, scale);
  const own = positions(range, scale);
  const middle = (own.from + own.to) / 2;
  const least = leastAt(middle, whole, scale);
  // As it is: there and back again is not exact on every scale, and an address would drift.
  if (own.from >= all.from && own.to <= all.to && spanOf(own) >= least) return range;
  const span = Math.min(spanOf(all), Math.max(least, spanOf(own)));
  const from = Math.min(all.to - span, Math.max(all.from, middle - span / 2));
  return stepped({ from, to: from + span }, scale);
}

/** How long the fewest steps are about a position. */
function leastAt(position: number, whole: Range, scale: StepScale): number {
  const few = Math.min(FEWEST_STEPS, spanOf(whole));
  const middle = scale.step(position);
  const from = Math.min(whole.to - few, Math.max(whole.from, middle - few / 2));
  return lengthOf({ from, to: from + few }, scale);
}

/** Shows `factor` times as much; what is at step `at` stays where it is. */
export function zoomed(
  range: Range,
  factor: number,
  at: number,
  whole: Range,
  scale: StepScale = STEPS,
): Range {
  const own = positions(range, scale);
  const about = scale.position(at);
  const wanted = spanOf(own) * factor;
  const least = leastAt(about, whole, scale);
  const span = Math.min(lengthOf(whole, scale), Math.max(least, wanted));
  const from = about - ((about - own.from) * span) / spanOf(own);
  return within(stepped({ from, to: from + span }, scale), whole, scale);
}

/** The range moved by a distance on the axis. */
export function panned(range: Range, by: number, whole: Range, scale: StepScale = STEPS): Range {
  const { from, to } = positions(range, scale);
  const all = positions(whole, scale);
  // Its length stays, also where a step is wider there.
  const moved = Math.min(all.to - to, Math.max(all.from - from, by));
  return within(stepped({ from: from + moved, to: to + moved }, scale), whole, scale);
}

/** The range moved as little as possible so that a step is in it, off its ends. */
export function including(
  range: Range,
  step: number,
  whole: Range,
  scale: StepScale = STEPS,
): Range {
  if (step >= range.from && step + 1 <= range.to) return range;
  const margin = lengthOf(range, scale) * 0.1;
  const { from, to } = positions(range, scale);
  const by =
    step < range.from
      ? scale.position(step) - margin - from
      : scale.position(step + 1) + margin - to;
  return panned(range, by, whole, scale);
}

/** Whether all steps are visible, but for rounding. */
export function isWhole(range: Range, whole: Range): boolean {
  return spanOf(range) >= spanOf(whole) - Math.max(1e-6, spanOf(whole) * 1e-12);
}

/** What is requested from the server: a closed range of steps in a number of columns. */
export interface Cut {
  first: number;
  last: number;
  columns: number;
}

/**
 * The cut that shows a range in about `columns` columns: they are a power of two steps, or of
 * another scale's unit, wide and begin at multiples of it, so that panning does not shimmer, and
 * some lie beyond both ends, so that it need not wait for an answer.
 */
export function cutFor(
  range: Range,
  whole: Range,
  columns: number,
  most: number,
  scale: StepScale = STEPS,
): Cut {
  const [own, all] = [positions(range, scale), positions(whole, scale)];
  const isEven = scale.name === "step";
  const level = Math.floor(Math.log2(spanOf(own) / columns));
  // No column is narrower than a step; on another scale the server sees to that.
  const width = 2 ** (isEven ? Math.max(0, level) : level);
  const unit = width * ALIGNED_COLUMNS;
  const margin = spanOf(own) * MARGIN;
  const aligned = (position: number, round: (value: number) => number) =>
    all.from + round((position - all.from) / unit) * unit;
  const from = Math.max(all.from, aligned(own.from - margin, Math.floor));
  const to = Math.min(
    all.from + Math.ceil(spanOf(all) / width) * width,
    aligned(own.to + margin, Math.ceil),
  );
  const wanted = Math.round((to - from) / width);
  const first = isEven ? from : Math.max(whole.from, Math.floor(scale.step(from) + 1e-6));
  const end = isEven ? to : Math.min(whole.to, Math.ceil(scale.step(to) - 1e-6));
  if (wanted > most) return { first, last: Math.min(end, whole.to) - 1, columns: most };
  return { first, last: end - 1, columns: wanted };
}

/** Whether one cut's columns are as narrow as another's. */
export function isAsFine(cut: Cut, other: Cut, scale: StepScale = STEPS): boolean {
  const widthOf = ({ first, last, columns }: Cut) =>
    lengthOf({ from: first, to: last + 1 }, scale) / columns;
  // Ends in whole steps are not quite where the columns of another scale end.
  return widthOf(cut) <= widthOf(other) * (scale.name === "step" ? 1 : 1.5);
}
