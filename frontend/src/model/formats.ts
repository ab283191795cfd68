/** The number formats that a tensor might be held in, and what of it each would lose. */

import type { CellAnswer, HistogramBin } from "../wire/answers";
import { formatShortPercent } from "./numbers";

export interface NumberFormat {
  name: string;
  label: string;
  /** Bits of an element. */
  bits: number;
  /** Binary exponent of the smallest normal number. */
  smallest: number;
  /** Elements below 2 to this power are nearer to zero than to any other number of the format. */
  vanishes: number;
  /** Elements of at least 2 to this power are beyond the largest finite number. */
  overflows: number;
}

/** IEEE 754, bfloat16, and the two formats of the OCP 8-bit specification. */
export const FORMATS: readonly NumberFormat[] = [
  { name: "float32", label: "fp32", bits: 32, smallest: -126, vanishes: -150, overflows: 128 },
  { name: "bfloat16", label: "bf16", bits: 16, smallest: -126, vanishes: -134, overflows: 128 },
  { name: "float16", label: "fp16", bits: 16, smallest: -14, vanishes: -25, overflows: 16 },
  { name: "float8_e5m2", label: "e5m2", bits: 8, smallest: -14, vanishes: -17, overflows: 16 },
  { name: "float8_e4m3fn", label: "e4m3", bits: 8, smallest: -6, vanishes: -10, overflows: 9 },
];

/** Counts of a tensor's elements in some steps. */
export interface ExponentCounts {
  bins: readonly HistogramBin[];
  /** Elements below the smallest normal number of the tensor's own format, zero aside. */
  subnormal: number;
  /** All that were sampled, and those of them that are finite. */
  elements: number;
  finite: number;
}

export interface Loss {
  format: NumberFormat;
  /** Shares of the finite elements: would be zero, would keep fewer digits, would be infinite. */
  zero: number;
  subnormal: number;
  infinite: number;
}

/** What narrower formats would lose; those that hold all that the tensor's own holds say nothing. */
export function formatFits({ bins, subnormal, finite }: ExponentCounts, dtype: string): Loss[] {
  const own = FORMATS.find(({ name }) => name === dtype);
  const narrower = FORMATS.filter(
    (format) => format.name !== dtype && format.bits <= (own?.bits ?? 64) && format.bits < 32,
  );
  if (finite === 0) return [];
  return narrower.map((format) => {
    const within = (low: number, high: number) =>
      bins.reduce(
        (sum, [, exponent, count]) => sum + (exponent >= low && exponent < high ? count : 0),
        0,
      );
    // Of what is subnormal already, all that is known is that it is below the own format's limit.
    const vanished = (own?.smallest ?? -126) <= format.vanishes ? subnormal : 0;
    const zero = within(Number.NEGATIVE_INFINITY, format.vanishes) + vanished;
    return {
      format,
      zero: zero / finite,
      subnormal: (within(format.vanishes, format.smallest) + subnormal - vanished) / finite,
      infinite: within(format.overflows, Number.POSITIVE_INFINITY) / finite,
    };
  });
}

/** "4.1% of this gradient would be zero in float16." */
export function float16Sentence(losses: readonly Loss[], what: string): string {
  const half = losses.find(({ format }) => format.name === "float16");
  if (!half) return "";
  const parts = [
    ...(half.zero > 0 ? [`${formatShortPercent(half.zero)} of this ${what} would be zero`] : []),
    ...(half.infinite > 0 ? [`${formatShortPercent(half.infinite)} would overflow`] : []),
  ];
  if (parts.length > 0) return `${parts.join(" and ")} in float16.`;
  if (half.subnormal >= 0.001) {
    return `float16 holds all of this ${what}, ${formatShortPercent(half.subnormal)} of it with fewer digits.`;
  }
  return `float16 holds all of this ${what}.`;
}

/** "In float8_e4m3fn 37% would be zero and 63% keep fewer digits."; empty where nothing is lost. */
export function eighthSentence(losses: readonly Loss[]): string {
  return losses
    .filter(({ format }) => format.bits === 8)
    .flatMap(({ format, zero, subnormal, infinite }) => {
      const parts = [
        ...(zero > 0 ? [`${formatShortPercent(zero)} would be zero`] : []),
        ...(infinite > 0 ? [`${formatShortPercent(infinite)} would overflow`] : []),
        ...(subnormal > 0 ? [`${formatShortPercent(subnormal)} would keep fewer digits`] : []),
      ];
      return parts.length > 0 ? [`In ${format.name} ${parts.join(", ")}.`] : [];
    })
    .join(" ");
}

/** The spread of a cell; undefined where no histogram was taken. */
export function exponentCountsOf({ histogram, columns }: CellAnswer): ExponentCounts | undefined {
  if (!histogram || !columns) return undefined;
  return {
    bins: histogram,
    subnormal: Number(columns.subnormal),
    elements: Number(columns.sampled_elements),
    finite: Number(columns.sampled_finite),
  };
}

/** A line across a chart of exponents, with the formats whose limit it is. */
export interface LimitLine {
  /** Elements of at least 2 to this power lie on its far side. */
  exponent: number;
  text: string;
}

/** The limits between two exponents, those of several formats on one line. */
export function limitLines(low: number, high: number): LimitLine[] {
  const lines = new Map<number, string[]>();
  const add = (exponent: number, label: string, end: string) => {
    if (exponent <= low || exponent > high) return;
    const known = lines.get(exponent) ?? [];
    const same = known.findIndex((text) => text.endsWith(` ${end}`));
    if (same < 0) known.push(`${label} ${end}`);
    else known[same] = `${label}, ${known[same]}`;
    lines.set(exponent, known);
  };
  for (const { label, smallest, overflows } of FORMATS) {
    add(smallest, label, "min");
    add(overflows, label, "max");
  }
  return [...lines].map(([exponent, texts]) => ({ exponent, text: texts.join(" · ") }));
}
