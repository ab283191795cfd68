/** The selected cell, and where keys move it. */

import type { Tensor } from "../wire/answers";
import { type Line, tensorsOf } from "./lanes";

/** One tensor at one step. A step and not a column, so that it survives a change of columns. */
export interface Selection {
  tensor: string;
  step: number;
}

export interface CellPosition {
  /** Index among the tensors that are shown. */
  row: number;
  column: number;
}

const PAGE_COLUMNS = 10;
const PAGE_ROWS = 10;

/** The cell that a key moves to; undefined for a key that moves nothing. */
export function moveCursor(
  { row, column }: CellPosition,
  key: string,
  far: boolean,
  rows: number,
  columns: number,
): CellPosition | undefined {
  const stride = far ? PAGE_COLUMNS : 1;
  const target = {
    ArrowLeft: { row, column: column - stride },
    ArrowRight: { row, column: column + stride },
    ArrowUp: { row: row - (far ? PAGE_ROWS : 1), column },
    ArrowDown: { row: row + (far ? PAGE_ROWS : 1), column },
    PageUp: { row: row - PAGE_ROWS, column },
    PageDown: { row: row + PAGE_ROWS, column },
    Home: { row: far ? 0 : row, column: 0 },
    End: { row: far ? rows - 1 : row, column: columns - 1 },
  }[key];
  if (!target || rows === 0 || columns === 0) return undefined;
  return {
    row: Math.min(rows - 1, Math.max(0, target.row)),
    column: Math.min(columns - 1, Math.max(0, target.column)),
  };
}

/** The lines with cells, from top to bottom, each with its tensors. */
export function rowsOfCells(lines: readonly Line[]): { line: Line; tensors: readonly Tensor[] }[] {
  return lines.flatMap((line) => {
    const tensors = tensorsOf(line);
    return tensors.length > 0 ? { line, tensors } : [];
  });
}
