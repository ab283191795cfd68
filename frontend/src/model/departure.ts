/** Instability in words: how far a norm is from the tensor's own usual level. */

import { format } from "d3-format";
import { formatNumber } from "./numbers";

const rounded = format(",.2r");

/** Nearer than this, in decades, a norm is at its usual level: within 12%. */
const NEAR = 0.05;
const MOST_WRITTEN_OUT = 6;

/** "12x above its usual level of 0.8"; `usual` is NaN where it is not known. */
export function describeDeparture(decades: number, usual = Number.NaN): string {
  const level = Number.isNaN(usual) ? "its usual level" : `its usual level of ${short(usual)}`;
  if (decades === Number.NEGATIVE_INFINITY) {
    return Number.isNaN(usual) ? "norm 0" : `norm 0; ${level.slice("its ".length)}`;
  }
  if (Math.abs(decades) < NEAR) return `at ${level}`;
  return `${formatFactor(decades)} ${decades > 0 ? "above" : "below"} ${level}`;
}

/** "12x", "44,000x", "10^20x": the size of a departure, without its direction. */
export function formatFactor(decades: number): string {
  const size = Math.abs(decades);
  if (size === Number.POSITIVE_INFINITY) return "infinitely";
  return size < MOST_WRITTEN_OUT ? `${trimmed(rounded(10 ** size))}x` : `10^${Math.round(size)}x`;
}

function short(value: number): string {
  return formatNumber(Number(value.toPrecision(2)));
}

/** "1" for "1.0". */
function trimmed(text: string): string {
  return text.replace(/\.0$/, "");
}
