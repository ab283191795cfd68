/** The extremes of a healthy run, each with its step. */

import type { Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";
import { gridRow } from "./cells";
import { formatGridValue } from "./numbers";

export interface Highlight {
  what: string;
  tensor: Tensor;
  step: number;
  /** The norm there, as text. */
  value: string;
}

/** Extremes of a grid of norms. */
export function highlightsOf(grid: Grid, tensors: readonly Tensor[]): Highlight[] {
  const gradients = tensors.filter(({ role }) => role === "gradient");
  const weights = tensors.filter(({ role }) => role === "weight");
  return [
    ...extreme(grid, gradients, "Largest gradient", 1),
    ...extreme(grid, gradients, "Smallest gradient", -1),
    ...extreme(grid, weights, "Largest weight", 1),
  ];
}

function extreme(grid: Grid, tensors: readonly Tensor[], what: string, sign: 1 | -1): Highlight[] {
  let found: Highlight | undefined;
  let best = Number.NEGATIVE_INFINITY;
  for (const tensor of tensors) {
    gridRow(grid, tensor.id)?.value.forEach((value, column) => {
      if (!Number.isFinite(value) || sign * value <= best) return;
      best = sign * value;
      const step = grid.edges[column] as number;
      found = { what, tensor, step, value: formatGridValue(value, grid.scale) };
    });
  }
  return found ? [found] : [];
}
