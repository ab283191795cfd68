/** How a tensor fits narrower number formats: what would flush to zero, lose precision or overflow. */

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

/** A tensor's elements by binary exponent, over some steps. */
export interface ExponentCounts {
  bins: readonly HistogramBin[];
  /** Elements below the smallest normal number of the tensor's own format, zero aside. */
  subnormal: number;
  /** All elements of the histogram, and the finite ones among them. */
  elements: number;
  finite: number;
}

export interface FormatFit {
  format: NumberFormat;
  /** Shares of the finite elements that would flush to zero, lose precision, overflow. */
  zero: number;
  subnormal: number;
  infinite: number;
}

/** How well the tensor fits narrower formats; formats at least as wide as its own are left out. */
export function formatFits(
  { bins, subnormal, finite }: ExponentCounts,
  dtype: string,
): FormatFit[] {
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
    // Subnormal elements are only known to be below the limit of their own format.
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

/** "Fits in float16.", "In float16, 4.1% of this gradient would flush to zero." */
export function float16Text(fits: readonly FormatFit[], role: string): string {
  const half = fits.find(({ format }) => format.name === "float16");
  if (!half) return "";
  const losses = [
    { share: half.zero, effect: "would flush to zero" },
    { share: half.infinite, effect: "would overflow" },
  ].filter(({ share }) => share > 0);
  if (losses.length > 0) {
    const texts = losses.map(({ share, effect }, index) =>
      [formatShortPercent(share), index === 0 ? ` of this ${role}` : "", ` ${effect}`].join(""),
    );
    return `In float16, ${texts.join(" and ")}.`;
  }
  if (half.subnormal >= 0.001) {
    return `Fits in float16, but ${formatShortPercent(half.subnormal)} of this ${role} would lose precision.`;
  }
  return "Fits in float16.";
}

/** The exponents of a cell; undefined where no histogram was recorded. */
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
