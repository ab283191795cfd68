/** The operation that a finding names, in words and lines. */

import type { Operand, Operation } from "../wire/answers";
import { visibleName } from "./names";

/** Elements of one operand that are told. */
const MOST_ELEMENTS = 6;

/** "Log in the forward pass of layer encoder/gate", "RealDiv in the update of Adam". */
export function operationWords({ type, pass, layer, optimizer }: Operation): string {
  const what = pass === "update" ? "the update" : pass && `the ${visibleName(pass)} pass`;
  const of = optimizer ? visibleName(optimizer) : layer ? `layer ${visibleName(layer)}` : "";
  const where = what && of ? `in ${what} of ${of}` : what ? `in ${what}` : of && `in ${of}`;
  return [visibleName(type), where].filter(Boolean).join(" ");
}

/** "model.py:57, in call". */
export function operationWhere({ file, line, function: name }: Operation): string {
  const place = file ? visibleName(file) + (line === undefined ? "" : `:${line}`) : "";
  return [place, name && `in ${visibleName(name)}`].filter(Boolean).join(", ");
}

export interface SourceLine {
  number: number | undefined;
  text: string;
  broke: boolean;
}

/** The lines about the one that broke; that one alone where no others are known. */
export function sourceLines({ source = [], line, code }: Operation): SourceLine[] {
  const lines = source.map(({ line: number, text }) => ({
    number: number as number | undefined,
    text: visibleName(text),
    broke: number === line,
  }));
  if (lines.some(({ broke }) => broke) || !code) return lines;
  return [{ number: line, text: visibleName(code), broke: true }];
}

/** "float32, 8 × 32". */
export function operandWords({ dtype, shape }: Operand): string {
  const size = shape && (shape.length > 0 ? shape.join(" × ") : "scalar");
  return [dtype && visibleName(dtype), size].filter(Boolean).join(", ");
}

export interface ElementRow {
  operand: Operand;
  /** The first of its operand's rows, of which there are `span`. */
  first: boolean;
  span: number;
  index: string;
  value: string;
}

/** A row for each offending element; one for an operand that has none. */
export function elementRows(operands: readonly Operand[]): ElementRow[] {
  return operands.flatMap((operand): ElementRow[] => {
    const elements = (operand.elements ?? []).slice(0, MOST_ELEMENTS);
    if (elements.length === 0) return [{ operand, first: true, span: 1, index: "", value: "" }];
    return elements.map(({ index, value }, at) => ({
      ...{ operand, first: at === 0, span: elements.length },
      index: `[${index.join(", ")}]`,
      value: visibleName(String(value)),
    }));
  });
}
