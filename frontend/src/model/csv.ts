/** The selected tensor over the visible steps, as comma-separated values. */

import type { Tensor } from "../wire/answers";
import { STATISTICS } from "../wire/schema";
import type { Spectrogram } from "../wire/spectrogram";
import { MARKS, RECORDED, SCALE_SKIPPED } from "./marks";
import type { Range } from "./range";
import { timelineOf, visibleColumns } from "./timeline";

const HEADER = [
  ...["run", "role", "layer", "tensor", "worker", "first_step", "last_step"],
  ...["recorded", ...MARKS.map(({ name }) => name), "scale_skipped"],
  ...STATISTICS.map(({ name, scale }) =>
    scale === "log10" || scale === "ratio" ? `log10_${name}` : name,
  ),
  ...["sampled_elements", "zero", "subnormal"],
];

/** RFC 4180, one line per column; empty where nothing was recorded. */
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
      ...STATISTICS.map(({ name }) => numberText(statistics[name][column] as number)),
      ...(["sampled_elements", "zero", "subnormal"] as const).map((name) =>
        String(spectrogram[name][column]),
      ),
    ]);
  }
  return `${lines.map((line) => line.join(",")).join("\r\n")}\r\n`;
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
