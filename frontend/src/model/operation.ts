/** The operation that a finding names: its title, its source lines, its operands. */

import type { Operand, Operation } from "../wire/answers";
import { visibleName } from "./names";

/** Elements that are listed. */
const MOST_ROWS = 6;
/** Ranges of batch rows that are listed. */
const MOST_RANGES = 10;

/** "Log in the forward pass of layer encoder/gate", "RealDiv in the update of Adam". */
export function describeOperation({ type, pass, layer, optimizer }: Operation): string {
  const what = pass === "update" ? "the update" : pass && `the ${visibleName(pass)} pass`;
  const of = optimizer ? visibleName(optimizer) : layer ? `layer ${visibleName(layer)}` : "";
  const where = what && of ? `in ${what} of ${of}` : what ? `in ${what}` : of && `in ${of}`;
  return [visibleName(type), where].filter(Boolean).join(" ");
}

/** "model.py:57, in call". */
export function sourceLocation({ file, line, function: name }: Operation): string {
  const place = file ? visibleName(file) + (line === undefined ? "" : `:${line}`) : "";
  return [place, name && `in ${visibleName(name)}`].filter(Boolean).join(", ");
}

export interface SourceLine {
  number: number | undefined;
  text: string;
  /** The line of the operation itself. */
  failing: boolean;
}

/** The lines around the failing one, dedented; that line alone where no others are known. */
export function sourceLines({ source = [], line, code }: Operation): SourceLine[] {
  const lines = source.map(({ line: number, text }) => ({
    number: number as number | undefined,
    text: text === "" ? "" : visibleName(text),
    failing: number === line,
  }));
  const isBlank = (at: number) => lines[at]?.text.trim() === "";
  // Two blank lines end a function: what follows is another one.
  const failing = lines.findIndex((one) => one.failing);
  const ended = lines.findIndex((_, at) => at > failing && isBlank(at) && isBlank(at + 1));
  if (failing >= 0 && ended >= 0) lines.splice(ended);
  while (lines.length > 1 && isBlank(lines.length - 1)) lines.pop();
  while (lines.length > 1 && isBlank(0)) lines.shift();
  const indents = lines.filter((_, at) => !isBlank(at)).map(({ text }) => text.search(/\S/));
  const common = Math.min(...indents);
  for (const one of lines) one.text = one.text.slice(common);
  if (lines.some(({ failing }) => failing) || !code) return lines;
  return [{ number: line, text: visibleName(code), failing: true }];
}

/** "float32, 8 × 32". */
export function describeOperand({ dtype, shape }: Operand): string {
  const size = shape && (shape.length > 0 ? shape.join(" × ") : "scalar");
  return [dtype && visibleName(dtype), size].filter(Boolean).join(", ");
}

export interface ElementRow {
  /** "[8, 0]"; empty for a scalar. */
  index: string;
  /** One per operand; empty where its element is not known. */
  values: string[];
}

/** The elements that matter, the operands side by side for each index. */
export function elementRows(operands: readonly Operand[]): ElementRow[] {
  const rows = new Map<string, ElementRow>();
  operands.forEach(({ elements = [] }, at) => {
    for (const { index, value } of elements) {
      const place = index.length > 0 ? `[${index.join(", ")}]` : "";
      const row = rows.get(place) ?? { index: place, values: operands.map(() => "") };
      row.values[at] = visibleName(String(value));
      rows.set(place, row);
    }
  });
  return [...rows.values()].slice(0, MOST_ROWS);
}

/** "Batch row 17", "Batch rows 0–31, 40": neighbors as ranges. */
export function batchRowsText(rows: readonly number[]): string {
  const sorted = [...new Set(rows)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const row of sorted) {
    const last = ranges.at(-1);
    if (last && last[1] === row - 1) last[1] = row;
    else ranges.push([row, row]);
  }
  const texts = ranges
    .slice(0, MOST_RANGES)
    .map(([first, last]) => (first === last ? String(first) : `${first}–${last}`));
  const rest = ranges.slice(MOST_RANGES).reduce((sum, [first, last]) => sum + last - first + 1, 0);
  return [
    sorted.length === 1 ? "Batch row " : "Batch rows ",
    texts.join(", "),
    rest > 0 ? ` and ${rest} more` : "",
  ].join("");
}

/** "eagerly", "with XLA": how the failing step was run again. */
export function rerunModeText(mode: string): string {
  return (
    { eager: "eagerly", graph: "as a graph", xla: "with XLA" }[mode] ?? `(${visibleName(mode)})`
  );
}
