/** The steps in sight, and how they are zoomed, moved and asked for. */

/** Steps from `from` to before `to`; fractions while one pans. */
export interface Range {
  from: number;
  to: number;
}

/** Fewer steps in sight say nothing more. */
export const FEWEST_STEPS = 8;
/** A request's columns begin at multiples of this many, so that panning asks for few grids. */
const ALIGNED_COLUMNS = 64;
/** What is asked for beyond each end of what is in sight, as a share of it. */
const MARGIN = 0.3;

export function spanOf({ from, to }: Range): number {
  return to - from;
}

/** The range moved and shortened so that it lies within `whole`. */
export function within(range: Range, whole: Range): Range {
  const least = Math.min(FEWEST_STEPS, spanOf(whole));
  const span = Math.min(spanOf(whole), Math.max(least, spanOf(range)));
  const middle = (range.from + range.to) / 2;
  const from = Math.min(whole.to - span, Math.max(whole.from, middle - span / 2));
  return { from, to: from + span };
}

/** Shows `factor` times as many steps; what is at step `at` stays where it is. */
export function zoomed(range: Range, factor: number, at: number, whole: Range): Range {
  const least = Math.min(FEWEST_STEPS, spanOf(whole));
  const span = Math.min(spanOf(whole), Math.max(least, spanOf(range) * factor));
  const scale = span / spanOf(range);
  const from = at - (at - range.from) * scale;
  return within({ from, to: from + span }, whole);
}

export function panned(range: Range, steps: number, whole: Range): Range {
  return within({ from: range.from + steps, to: range.to + steps }, whole);
}

/** The range moved as little as possible so that a step is in it, off its ends. */
export function including(range: Range, step: number, whole: Range): Range {
  const apart = Math.min(spanOf(range) * 0.1, spanOf(range) / 2);
  if (step >= range.from && step + 1 <= range.to) return range;
  const moved = step < range.from ? step - apart - range.from : step + 1 + apart - range.to;
  return panned(range, moved, whole);
}

/** Whether the whole is in sight, but for rounding. */
export function isWhole(range: Range, whole: Range): boolean {
  return spanOf(range) >= spanOf(whole) - 1e-6;
}

/** What the server is asked for: a closed range of steps in so many columns. */
export interface Cut {
  first: number;
  last: number;
  columns: number;
}

/**
 * The cut that shows a range in about `columns` columns: its columns are a power of two steps
 * wide and begin at multiples of it, so that panning does not shimmer, and some lie beyond both
 * ends, so that it need not wait.
 */
export function cutFor(range: Range, whole: Range, columns: number, most: number): Cut {
  const level = Math.max(0, Math.floor(Math.log2(spanOf(range) / columns)));
  const width = 2 ** level;
  const unit = width * ALIGNED_COLUMNS;
  const margin = spanOf(range) * MARGIN;
  const aligned = (step: number, round: (value: number) => number) =>
    whole.from + round((step - whole.from) / unit) * unit;
  const first = Math.max(whole.from, aligned(range.from - margin, Math.floor));
  const end = Math.min(
    whole.from + Math.ceil(spanOf(whole) / width) * width,
    aligned(range.to + margin, Math.ceil),
  );
  const wanted = Math.round((end - first) / width);
  if (wanted > most) return { first, last: Math.min(end, whole.to) - 1, columns: most };
  return { first, last: end - 1, columns: wanted };
}

/** Whether one cut's columns are as narrow as another's: then what it holds, it shows as well. */
export function isAsFine(cut: Cut, other: Cut): boolean {
  const widthOf = ({ first, last, columns }: Cut) => (last + 1 - first) / columns;
  return widthOf(cut) <= widthOf(other);
}
