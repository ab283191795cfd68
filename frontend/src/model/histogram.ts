/** The exponent histogram as two rows of bars, positive above and negative below. */

import type { HistogramBin } from "../wire/answers";

export interface Bar {
  exponent: number;
  positive: number;
  negative: number;
}

export interface Bars {
  /** One bar per exponent, without gaps. */
  bars: Bar[];
  /** The largest count of one bar. */
  most: number;
}

/** Bars over every exponent that one of the histograms has, at least `fewest` of them. */
export function barsOf(
  bins: readonly HistogramBin[],
  others: readonly HistogramBin[] = [],
  fewest = 8,
): Bars {
  const exponents = [...bins, ...others].map(([, exponent]) => exponent);
  let low = Math.min(...exponents);
  let high = Math.max(...exponents);
  if (exponents.length === 0) return { bars: [], most: 0 };
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

export interface OverlaidBars extends Bars {
  /** The other histogram as if it were of as many elements, exponent by exponent. */
  other: Bar[];
}

/** Two histograms on the same axes. */
export function overlaidBars(
  own: { bins: readonly HistogramBin[]; elements: number },
  other: { bins: readonly HistogramBin[]; elements: number } | undefined,
): OverlaidBars {
  const scale = other && other.elements > 0 ? own.elements / other.elements : 0;
  const scaled = (other?.bins ?? []).map(
    ([sign, exponent, count]): HistogramBin => [sign, exponent, count * scale],
  );
  const { bars, most } = barsOf(own.bins, scaled);
  const beside = barsOf(scaled, own.bins);
  return { bars, most: Math.max(most, beside.most), other: other ? beside.bars : [] };
}

/** Height of a count from 0 to 1: logarithmic, so that one element among a million is visible. */
export function barHeight(count: number, most: number): number {
  return count === 0 ? 0 : Math.log10(1 + count) / Math.log10(1 + most);
}

/** Powers of ten for the grid lines. */
export function countTicks(most: number): number[] {
  const top = Math.floor(Math.log10(Math.max(1, most)));
  const every = Math.max(1, Math.ceil(top / 3));
  return Array.from({ length: Math.floor(top / every) + 1 }, (_, index) => 10 ** (index * every));
}
