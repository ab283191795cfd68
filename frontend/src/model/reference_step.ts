/** Which earlier step a selected one is compared with. */

import type { Tensor } from "../wire/answers";

/**
 * The last step before the trouble, once the tensor is non-finite; before that, and for a tensor
 * that never is, the run's first step. Undefined where there is nothing earlier.
 */
export function referenceStep(
  { first_nonfinite_step }: Pick<Tensor, "first_nonfinite_step">,
  [from, to]: readonly [number, number],
  first: number,
): number | undefined {
  const troubled = first_nonfinite_step !== null && to >= first_nonfinite_step;
  const step = troubled ? Math.min(first_nonfinite_step, from) - 1 : first;
  return step >= first && step < from ? step : undefined;
}
