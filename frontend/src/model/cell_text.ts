/** What a grid knows about one cell, as text. */

import type { CellAnswer } from "../wire/answers";
import { numberFromWire } from "../wire/answers";
import type { Grid } from "../wire/grid";
import { STATISTICS, type StatisticName } from "../wire/schema";
import { gridCell } from "./cells";
import { describeDeparture, formatFactor } from "./departure";
import type { Difference } from "./difference";
import { formatDifference } from "./magnitude";
import { MARKS, marksOf, RECORDED, SCALE_SKIPPED } from "./marks";
import { formatCount, formatGridValue } from "./numbers";

/** The name of a statistic as the toolbar shows it. */
export function statisticLabel(name: StatisticName): string {
  return STATISTICS.find((candidate) => candidate.name === name)?.label ?? name;
}

/** "NaN, +Inf; L2 norm 3.2", "nothing recorded". `usual` is the usual norm, where it is known. */
export function describeCell(grid: Grid, tensor: string, step: number, usual?: number): string {
  const cell = gridCell(grid, tensor, step);
  if (!cell || !(cell.flags & (RECORDED | SCALE_SKIPPED))) return "nothing recorded";
  const marks = marksOf(cell.flags).map(({ label }) => label);
  const parts = marks.length > 0 ? [marks.join(", ")] : [];
  if (cell.flags & SCALE_SKIPPED) parts.push("step skipped by loss scaling");
  // Statistics are of the finite elements: a norm of 0 beside a NaN means that there are none.
  const isOfNothing = marks.length > 0 && cell.value === Number.NEGATIVE_INFINITY;
  if (!Number.isNaN(cell.value) && !isOfNothing) parts.push(describeValue(grid, cell.value, usual));
  return parts.join("; ") || "recorded, without a value";
}

/** "12x above its usual level", "L2 norm 3.2", "3 NaN/Inf", "25% zeros". */
function describeValue({ statistic, scale }: Grid, value: number, usual?: number): string {
  if (scale === "decades") return describeDeparture(value, usual);
  const text = formatGridValue(value, scale);
  if (scale === "share") return `${text} zeros`;
  if (scale === "headroom") return headroomText(value);
  if (scale === "ratio") return `update / weight ratio ${text}`;
  return scale === "count" ? `${text} NaN/Inf` : `${statisticLabel(statistic)} ${text}`;
}

/** "could grow 1,200x before it overflows". */
export function headroomText(value: number): string {
  return value === Number.NEGATIVE_INFINITY
    ? "all zeros"
    : `could grow ${formatFactor(value)} before it overflows`;
}

/** "40 NaN", "3 +Inf": how many elements are of each mark that occurs. */
export function nonfiniteCounts(
  columns: NonNullable<CellAnswer["columns"]>,
): { mark: string; text: string }[] {
  return MARKS.flatMap(({ name, label }) => {
    const count = numberFromWire(columns[name]);
    return count > 0 ? [{ mark: name, text: `${formatCount(count)} ${label}` }] : [];
  });
}

/** "All 2,048 elements are NaN"; empty where they are not all one of the marks. */
export function allNonfiniteText(columns: NonNullable<CellAnswer["columns"]>): string {
  const elements = numberFromWire(columns.elements);
  const mark = MARKS.find(({ name }) => elements > 0 && numberFromWire(columns[name]) === elements);
  if (!mark) return "";
  return elements === 1
    ? `The only element is ${mark.label}`
    : `All ${formatCount(elements)} elements are ${mark.label}`;
}

/** "×12 relative to healthy", "same as in healthy": a cell of a difference. */
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
  if (!cell || Number.isNaN(cell.value)) return `not comparable with ${run}`;
  if (cell.value === 0) return `same as in ${run}`;
  if (cell.scale === "decades") {
    const direction = cell.value > 0 ? "higher" : "lower";
    return `${formatFactor(cell.value)} ${direction} against its usual level than in ${run}`;
  }
  return `${formatDifference(cell.value, cell.scale)} relative to ${run}`;
}
