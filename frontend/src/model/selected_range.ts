/** A selected range of steps: how it grows, and what is said about a tensor within it. */

import { type CellAnswer, numberFromWire } from "../wire/answers";
import { formatCount, formatCounted, formatNumber, formatSteps } from "./numbers";

/** First and last step. */
export type Steps = readonly [first: number, last: number];

/** The range from where it began to the steps that the cursor came to, from those it was at. */
export function extendedRange(range: Steps | null, from: Steps, to: Steps): Steps {
  const [first, last] = range ?? from;
  // The end at which the cursor is moves, and may pass the other one.
  if (range && from[0] <= first && from[1] < last) {
    return to[1] <= last ? [to[0], last] : [last, to[1]];
  }
  return to[0] >= first ? [first, to[1]] : [to[0], range ? first : last];
}

/** The steps between two places on the axis, in either order, as far as there are any. */
export function stepsBetween(one: number, other: number, all: Steps): Steps {
  const within = (step: number) => Math.min(all[1], Math.max(all[0], Math.floor(step)));
  return [within(Math.min(one, other)), within(Math.max(one, other))];
}

export interface RangeText {
  label: string;
  text: string;
  /** The first step with a NaN or Inf; null for none. */
  step: number | null;
}

/** What of a tensor was recorded in a range: exact counts, and the norms of the single records. */
export function rangeTexts(answer: CellAnswer): RangeText[] {
  const { columns, smallest_norm, median_norm, first_step, last_step } = answer;
  if (!columns || first_step === null || last_step === null) return [];
  const steps = numberFromWire(columns.steps);
  const bad = numberFromWire(columns.nonfinite_steps);
  const first = numberFromWire(columns.first_nonfinite_step);
  const norms = [smallest_norm, median_norm, columns.largest_norm].map((norm) => {
    const number = numberFromWire(norm);
    return Number.isNaN(number) ? "–" : formatNumber(number);
  });
  return [
    ...["Min L2 norm", "Median", "Max"].map((label, index) => ({
      ...{ label, text: norms[index] as string, step: null },
    })),
    {
      label: "NaN or Inf",
      text: `${bad > 0 ? `${formatCount(bad)} of` : "none in"} ${formatCounted(steps, "step")}`,
      step: Number.isNaN(first) ? null : first,
    },
    {
      label: "Recorded",
      text: `${formatSteps(first_step, last_step)}, ${formatCounted(answer.records, "window")}`,
      step: null,
    },
  ];
}
