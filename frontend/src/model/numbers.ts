/** Numbers as text. */

import { format } from "d3-format";
import type { Scale } from "../wire/schema";

const exactCount = format(",d");
const fourDigits = format(".4~r");
const scientific = format(".3~e");
const percent = format(".3~%");
const threeDigits = format(".3~r");
const oneDecimal = format(".1~f");
const twoDigits = format(".2~p");

/** A count, exact, with thousands separators. */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? exactCount(value) : nonfinite(value);
}

/** Four significant digits, scientific where that is easier to read. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return nonfinite(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? fourDigits(value) : scientific(value);
}

/** A percentage with three significant digits. */
export function formatPercent(value: number): string {
  return Number.isFinite(value) ? percent(value) : nonfinite(value);
}

/** A percentage with two significant digits. */
export function formatShortPercent(value: number): string {
  return Number.isFinite(value) ? twoDigits(value) : nonfinite(value);
}

/** A grid's value as people read it: a logarithm is undone. */
export function formatGridValue(value: number, scale: Scale): string {
  if (scale === "count") return formatCount(value);
  if (scale === "share") return formatPercent(value);
  if (scale === "headroom") return `${oneDecimal(-value)} decades`;
  return value === Number.NEGATIVE_INFINITY ? "0" : formatNumber(10 ** value);
}

/** "1 NaN", "3 tensors". */
export function formatCounted(value: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(value)} ${value === 1 ? singular : plural}`;
}

/** A closed range of steps: "step 12" or "steps 12–15". */
export function formatSteps(first: number, last: number): string {
  return first === last
    ? `step ${formatCount(first)}`
    : `steps ${formatCount(first)}–${formatCount(last)}`;
}

/** A span of time in its two largest units: "2 h 5 min", "1 min 30 s", "12.5 s". */
export function formatDuration(seconds: number): string {
  const sign = seconds < 0 ? "−" : "";
  const size = Math.abs(seconds);
  if (size < 60) return `${sign}${threeDigits(size)} s`;
  const units = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ] as const;
  const whole = Math.round(size);
  const at = units.findIndex(([unit]) => whole >= unit);
  const [large, name] = units[at] as (typeof units)[number];
  const [small, smallName] = units[at + 1] ?? [1, "s"];
  const rest = Math.floor((whole % large) / small);
  return `${sign}${Math.floor(whole / large)} ${name}${rest > 0 ? ` ${rest} ${smallName}` : ""}`;
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A power of ten: "10⁻³". */
export function formatPowerOfTen(exponent: number): string {
  if (exponent === 0) return "1";
  const digits = String(Math.abs(exponent)).replace(
    /\d/g,
    (digit) => superscripts[Number(digit)] ?? "",
  );
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

function nonfinite(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return value > 0 ? "+Inf" : "−Inf";
}
