/** What a grid knows of one cell, in words. */

import type { Grid } from "../wire/grid";
import { STATISTICS } from "../wire/schema";
import { gridCell } from "./cells";
import type { Difference } from "./difference";
import { formatDifference } from "./magnitude";
import { marksOf, RECORDED, SCALE_SKIPPED } from "./marks";
import { formatGridValue } from "./numbers";

/** The name of a statistic without the unit that its axis has. */
export function statisticWord(name: string): string {
  const statistic = STATISTICS.find((candidate) => candidate.name === name);
  return statistic ? statistic.label.replace(/ \(log10\)$/, "").toLowerCase() : name;
}

/** "NaN and +Inf; norm 3.2", "nothing recorded". */
export function describeCell(grid: Grid, tensor: string, step: number): string {
  const cell = gridCell(grid, tensor, step);
  if (!cell || !(cell.flags & (RECORDED | SCALE_SKIPPED))) return "nothing recorded";
  const marks = marksOf(cell.flags).map(({ label }) => label);
  const parts = marks.length > 0 ? [marks.join(" and ")] : [];
  if (cell.flags & SCALE_SKIPPED) parts.push("a step skipped by loss scaling");
  if (!Number.isNaN(cell.value)) {
    parts.push(`${statisticWord(grid.statistic)} ${formatGridValue(cell.value, grid.scale)}`);
  }
  return parts.join("; ") || "recorded, without a value";
}

/** "×12 of healthy", "the same as in healthy": a cell of a difference. */
export function describeDifference(
  layers: readonly Difference[],
  tensor: string,
  step: number,
  run: string,
): string {
  const cells = layers.flatMap((layer) => {
    const cell = gridCell(layer, tensor, step);
    return cell ? { ...cell, scale: layer.scale } : [];
  });
  const cell = cells.at(-1);
  if (!cell || Number.isNaN(cell.value)) return `not to be compared with ${run}`;
  if (cell.value === 0) return `the same as in ${run}`;
  return `${formatDifference(cell.value, cell.scale)} of that in ${run}`;
}
