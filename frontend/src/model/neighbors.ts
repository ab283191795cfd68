/** What stands beside a tensor in the flow of data through a step. */

import type { Tensor } from "../wire/answers";
import { ROLES } from "../wire/schema";

export interface Neighbors {
  /** What came last before it, and what comes first after it, of another layer or role. */
  before: Tensor | undefined;
  after: Tensor | undefined;
  /** The same variable in its other roles, in the order of a step. */
  same: readonly Tensor[];
}

/** Through these data flows; of the others one says nothing of the next. */
const PATH = new Set([
  ...["input", "target", "activation", "prediction", "loss"],
  ...["activation_gradient", "gradient"],
]);

export function neighborsOf(tensor: Tensor, tensors: readonly Tensor[]): Neighbors {
  const { id, role, layer, name, worker, flow } = tensor;
  const rank = (one: Tensor) => ROLES.findIndex((known) => known.name === one.role);
  const same = tensors
    .filter((one) => one.id !== id && one.name === name && one.worker === worker)
    .sort((a, b) => rank(a) - rank(b));
  if (flow === undefined || !PATH.has(role)) return { before: undefined, after: undefined, same };
  let before: Tensor | undefined;
  let after: Tensor | undefined;
  for (const one of tensors) {
    const isApart = one.role !== role || one.layer !== layer || (layer === "" && one.id !== id);
    if (one.flow === undefined || one.worker !== worker || !PATH.has(one.role) || !isApart)
      continue;
    if (one.flow < flow && one.flow > (before?.flow ?? -1)) before = one;
    if (one.flow > flow && one.flow < (after?.flow ?? Number.POSITIVE_INFINITY)) after = one;
  }
  return { before, after, same };
}
