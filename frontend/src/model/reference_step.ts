/** The earlier step that a selected one is compared with. */

import type { Tensor } from "../wire/answers";

/**
 * The last good step once the tensor has had a NaN or Inf; before that, and for a tensor that never
 * has, the run's first step. Undefined where there is nothing earlier.
 */
export function referenceStep(
  { first_nonfinite_step }: Pick<Tensor, "first_nonfinite_step">,
  [from, to]: readonly [number, number],
  first: number,
): number | undefined {
  const isAfterNonfinite = first_nonfinite_step !== null && to >= first_nonfinite_step;
  const step = isAfterNonfinite ? Math.min(first_nonfinite_step, from) - 1 : first;
  return step >= first && step < from ? step : undefined;
}
