/** The selected tensor over the visible steps, as comma-separated values. */

import type { Tensor } from "../wire/answers";
import { type Scale, STATISTICS } from "../wire/schema";
import type { Spectrogram } from "../wire/spectrogram";
import { MARKS, RECORDED, SCALE_SKIPPED } from "./marks";
import type { Range } from "./range";
import { timelineOf, visibleColumns } from "./timeline";

/** As the heatmap has them, to six digits; the other scales are linear, or say "decades". */
const LOGARITHMIC: ReadonlySet<Scale> = new Set(["log10", "ratio"]);
const DECADES: ReadonlySet<Scale> = new Set(["decades", "headroom"]);
const DIGITS = 6;

const HEADER = [
  ...["run", "role", "layer", "tensor", "worker", "first_step", "last_step"],
  ...["recorded", ...MARKS.map(({ name }) => name), "scale_skipped"],
  ...STATISTICS.map(({ name, scale }) => (DECADES.has(scale) ? `${name}_decades` : name)),
  ...["sampled_elements", "zero", "subnormal"],
];

/** RFC 4180 and tidy: one line per column of the heatmap, linear values, empty where there is none. */
export function csvOf(spectrogram: Spectrogram, tensor: Tensor, range: Range): string {
  const { edges, flags, statistics } = spectrogram;
  const [begin, end] = visibleColumns(timelineOf(edges, 1, range));
  const lines = [HEADER];
  for (let column = begin; column < end; column++) {
    const flagsOfColumn = flags[column] as number;
    lines.push([
      ...[spectrogram.run, tensor.role, tensor.layer, tensor.name, tensor.worker].map(quoted),
      ...[String(edges[column]), String((edges[column + 1] as number) - 1)],
      ...[RECORDED, ...MARKS.map(({ flag }) => flag), SCALE_SKIPPED].map((flag) =>
        flagsOfColumn & flag ? "1" : "0",
      ),
      ...STATISTICS.map(({ name, scale }) => {
        const value = statistics[name][column] as number;
        return numberText(LOGARITHMIC.has(scale) ? rounded(10 ** value) : value);
      }),
      ...(["sampled_elements", "zero", "subnormal"] as const).map((name) =>
        String(spectrogram[name][column]),
      ),
    ]);
  }
  return `${lines.map((line) => line.join(",")).join("\r\n")}\r\n`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "";
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}

/** A spreadsheet would read some names as formulas: an apostrophe keeps them text. */
function quoted(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
