/** What is upstream and downstream of a tensor, by the recorded call graph. */

import type { Tensor } from "../wire/answers";
import { ROLES } from "../wire/schema";

export interface Neighbors {
  upstream: readonly Tensor[];
  downstream: readonly Tensor[];
  /** The same variable in its other roles, in the order of a step. */
  sameVariable: readonly Tensor[];
}

export function neighborsOf(tensor: Tensor, tensors: readonly Tensor[]): Neighbors {
  const inputs = new Set(tensor.inputs);
  const rank = (one: Tensor) => ROLES.findIndex((known) => known.name === one.role);
  return {
    upstream: tensors.filter(({ id }) => inputs.has(id)),
    downstream: tensors.filter((one) => one.inputs?.includes(tensor.id)),
    sameVariable: tensors
      .filter(
        ({ id, name, worker }) =>
          id !== tensor.id && name === tensor.name && worker === tensor.worker,
      )
      .sort((a, b) => rank(a) - rank(b)),
  };
}

/** Whether the run recorded what is upstream of any tensor. */
export function hasCallGraph(tensors: readonly Tensor[]): boolean {
  return tensors.some(({ inputs = [] }) => inputs.length > 0);
}
