/** The exponent histogram as two rows of bars, positive above and negative below. */

import type { HistogramBin } from "../wire/answers";

export interface Bar {
  exponent: number;
  positive: number;
  negative: number;
}

export interface Bars {
  /** One bar an exponent, without gaps. */
  bars: Bar[];
  /** The largest count of one bar. */
  most: number;
}

/** Bars over every exponent from the smallest to the largest, at least `fewest` of them. */
export function barsOf(bins: readonly HistogramBin[], fewest = 8): Bars {
  const exponents = bins.map(([, exponent]) => exponent);
  let low = Math.min(...exponents);
  let high = Math.max(...exponents);
  if (bins.length === 0) return { bars: [], most: 0 };
  const lacking = Math.max(0, fewest - (high - low + 1));
  low -= Math.ceil(lacking / 2);
  high += Math.floor(lacking / 2);
  const bars = Array.from({ length: high - low + 1 }, (_, index) => ({
    exponent: low + index,
    positive: 0,
    negative: 0,
  }));
  let most = 0;
  for (const [sign, exponent, count] of bins) {
    const bar = bars[exponent - low] as Bar;
    if (sign < 0) bar.negative += count;
    else bar.positive += count;
    most = Math.max(most, bar.positive, bar.negative);
  }
  return { bars, most };
}

/** Height of a count from 0 to 1: logarithmic, so that one element among a million is seen. */
export function barHeight(count: number, most: number): number {
  return count === 0 ? 0 : Math.log10(1 + count) / Math.log10(1 + most);
}

/** Powers of ten for the grid lines. */
export function countTicks(most: number): number[] {
  const top = Math.floor(Math.log10(Math.max(1, most)));
  const every = Math.max(1, Math.ceil(top / 3));
  return Array.from({ length: Math.floor(top / every) + 1 }, (_, index) => 10 ** (index * every));
}

export interface FormatLimit {
  label: string;
  /** Binary exponent of the smallest normal number, and that of the largest finite one. */
  smallest: number;
  largest: number;
}

/** IEEE 754 and bfloat16: where numbers of a format become subnormal, and where they overflow. */
export const FORMAT_LIMITS: readonly FormatLimit[] = [
  { label: "fp16", smallest: -14, largest: 15 },
  { label: "fp32", smallest: -126, largest: 127 },
];
