/** The operation that a finding names, in words and lines. */

import type { Operand, Operation } from "../wire/answers";
import { visibleName } from "./names";

/** Places of which the elements are told. */
const MOST_ROWS = 6;

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
  broke: boolean;
}

/** The lines about the one that broke, moved to the left; that one alone where no others are known. */
export function sourceLines({ source = [], line, code }: Operation): SourceLine[] {
  // A line that is empty has no name: it is empty.
  const lines = source.map(({ line: number, text }) => ({
    number: number as number | undefined,
    text: text === "" ? "" : visibleName(text),
    broke: number === line,
  }));
  const isBlank = (at: number) => lines[at]?.text.trim() === "";
  // Two blank lines end a function: what follows is another one.
  const broke = lines.findIndex((one) => one.broke);
  const ended = lines.findIndex((_, at) => at > broke && isBlank(at) && isBlank(at + 1));
  if (broke >= 0 && ended >= 0) lines.splice(ended);
  while (lines.length > 1 && isBlank(lines.length - 1)) lines.pop();
  while (lines.length > 1 && isBlank(0)) lines.shift();
  const indents = lines.filter((_, at) => !isBlank(at)).map(({ text }) => text.search(/\S/));
  const common = Math.min(...indents);
  for (const one of lines) one.text = one.text.slice(common);
  if (lines.some(({ broke }) => broke) || !code) return lines;
  return [{ number: line, text: visibleName(code), broke: true }];
}

/** "float32, 8 × 32". */
export function describeOperand({ dtype, shape }: Operand): string {
  const size = shape && (shape.length > 0 ? shape.join(" × ") : "scalar");
  return [dtype && visibleName(dtype), size].filter(Boolean).join(", ");
}

export interface ElementRow {
  /** "[8, 0]"; empty for a scalar. */
  index: string;
  /** Of each operand; empty where nothing is known of it there. */
  values: string[];
}

/** The offending elements, what the operands are at one place side by side. */
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
