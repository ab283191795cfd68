/** From a grid's value to a place in the color table, and the ticks of its legend. */

import { scaleLinear } from "d3-scale";
import type { Scale } from "../wire/schema";
import { formatFactor } from "./departure";
import { formatCount, formatNumber, formatPercent, formatPowerOfTen } from "./numbers";

export const TABLE_SIZE = 256;

export interface Magnitude {
  scale: Scale;
  /** The values at both ends of the color table, in the unit that is mapped linearly. */
  low: number;
  high: number;
  /** Of differences: the middle of the table is zero. */
  signed?: true;
}

/** Farther from its usual level everything looks alike, whatever the run: colors compare. */
const MOST_DECADES = 3;
/** With more decades left than these, overflow is of no concern. */
const AMPLE_HEADROOM = 8;
/** Decades of the ratio of an update to its variable: from "hardly learns" to "rewritten". */
const RATIOS = [-6, 0] as const;

/** The scale that spans the finite values; zero of a logarithm (-inf) has a mark of its own. */
export function magnitudeOf(values: Float32Array, scale: Scale): Magnitude {
  if (scale === "share") return { scale, low: 0, high: 1 };
  if (scale === "decades") return { scale, low: -MOST_DECADES, high: MOST_DECADES };
  if (scale === "headroom") return { scale, low: -AMPLE_HEADROOM, high: 0 };
  if (scale === "ratio") return { scale, low: RATIOS[0], high: RATIOS[1] };
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (scale === "count") return { scale, low: 0, high: Math.log10(1 + Math.max(high, 1)) };
  if (low > high) return { scale, low: -1, high: 1 };
  const [bottom = low, top = high] = scaleLinear().domain([low, high]).nice(5).domain();
  return bottom < top
    ? { scale, low: bottom, high: top }
    : { scale, low: bottom - 1, high: top + 1 };
}

/** Index in the color table. */
export function tableIndex({ scale, low, high, signed }: Magnitude, value: number): number {
  const linear = scale === "count" && !signed ? Math.log10(1 + value) : value;
  const index = Math.round(((linear - low) / (high - low)) * (TABLE_SIZE - 1));
  return Math.min(TABLE_SIZE - 1, Math.max(0, index));
}

export interface LegendTick {
  /** 0 at the left end of the legend, 1 at its right end. */
  at: number;
  text: string;
}

export function legendTicks(magnitude: Magnitude): LegendTick[] {
  const { scale, low, high } = magnitude;
  const at = (linear: number) => (linear - low) / (high - low);
  if (magnitude.signed) {
    return [low, 0, high].map((linear) => ({
      at: at(linear),
      text: formatDifference(linear, scale),
    }));
  }
  if (scale === "decades") {
    return [low, -1, 0, 1, high].map((linear) => ({ at: at(linear), text: levelText(linear) }));
  }
  if (scale === "headroom") {
    return [low, -6, -3, high].map((linear) => ({ at: at(linear), text: headroomText(linear) }));
  }
  if (scale === "ratio") {
    return [low, -3, high].map((linear) => ({ at: at(linear), text: RATIO_TEXTS[linear] ?? "" }));
  }
  if (scale === "share")
    return [0, 0.5, 1].map((value) => ({ at: value, text: formatPercent(value) }));
  if (scale === "count") {
    const top = Math.floor(high);
    return [0, 10 ** Math.floor(top / 2), 10 ** top]
      .filter((value, index, all) => all.indexOf(value) === index)
      .map((value) => ({ at: at(Math.log10(1 + value)), text: formatCount(value) }));
  }
  const decades = scaleLinear()
    .domain([low, high])
    .ticks(3)
    .filter((tick) => Number.isInteger(tick));
  if (decades.length > 1)
    return decades.map((tick) => ({ at: at(tick), text: formatPowerOfTen(tick) }));
  // Within a decade or two, round values are easier to read than powers.
  return scaleLinear()
    .domain([10 ** low, 10 ** high])
    .ticks(3)
    .filter((value) => value > 0)
    .map((value) => ({ at: at(Math.log10(value)), text: formatNumber(value) }));
}

const RATIO_TEXTS: Record<number, string> = {
  [-6]: "a millionth",
  [-3]: "a thousandth",
  0: "equal norms",
};

/** "1,000x to overflow": how much larger a value could be; "" within the scale's ticks. */
function headroomText(linear: number): string {
  if (linear === 0) return "overflows";
  if (linear <= -AMPLE_HEADROOM) return "ample room";
  return `${formatFactor(linear)} left`;
}

/** "10x above": a tick of instability. */
function levelText(decades: number): string {
  if (decades === 0) return "usual level";
  return `${formatFactor(decades)} ${decades > 0 ? "above" : "below"}`;
}

/** "×10", "÷2.5", "+3%": a difference in the unit that is mapped linearly. */
export function formatDifference(linear: number, scale: Scale): string {
  if (linear === 0) return "=";
  if (scale === "share") return `${linear > 0 ? "+" : "−"}${formatPercent(Math.abs(linear))}`;
  const factor = 10 ** Math.abs(linear);
  return `${linear > 0 ? "×" : "÷"}${Number.isFinite(factor) && factor < 1e30 ? formatNumber(Number(factor.toPrecision(3))) : "∞"}`;
}
