/** What a grid knows of one cell, in words. */

import type { Grid } from "../wire/grid";
import { STATISTICS } from "../wire/schema";
import { marksOf, RECORDED, SCALE_SKIPPED } from "./marks";
import { gridValue } from "./numbers";
import { columnOfStep, timelineOf } from "./timeline";

export interface GridCell {
  value: number;
  flags: number;
}

/** The cell of a tensor at a step; undefined where the grid does not hold it. */
export function gridCell(grid: Grid, tensor: string, step: number): GridCell | undefined {
  const row = grid.rows.indexOf(tensor);
  const column = columnOfStep(timelineOf(grid.edges, 1), step);
  if (row < 0 || column < 0) return undefined;
  const index = row * (grid.edges.length - 1) + column;
  return { value: grid.value[index] as number, flags: grid.flags[index] as number };
}

/** The name of a statistic without the unit that its axis has. */
export function statisticWord(name: string): string {
  const statistic = STATISTICS.find((candidate) => candidate.name === name);
  return statistic ? statistic.label.replace(/ \(log10\)$/, "").toLowerCase() : name;
}

/** "NaN and +Inf; norm 3.2", "nothing recorded". */
export function cellSentence(grid: Grid, tensor: string, step: number): string {
  const cell = gridCell(grid, tensor, step);
  if (!cell || !(cell.flags & (RECORDED | SCALE_SKIPPED))) return "nothing recorded";
  const marks = marksOf(cell.flags).map(({ label }) => label);
  const parts = marks.length > 0 ? [marks.join(" and ")] : [];
  if (cell.flags & SCALE_SKIPPED) parts.push("a step skipped by loss scaling");
  if (!Number.isNaN(cell.value)) {
    parts.push(`${statisticWord(grid.statistic)} ${gridValue(cell.value, grid.scale)}`);
  }
  return parts.join("; ") || "recorded, without a value";
}
