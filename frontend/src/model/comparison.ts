/** Where two runs part, in words. */

import type { ComparisonAnswer, Parting } from "../wire/answers";
import { numberFromWire } from "../wire/answers";
import { visibleName } from "./names";
import { formatCount, formatCounted, formatNumber, formatShortPercent } from "./numbers";
import { roleName } from "./runs";

/** Relative differences of norms that one can choose among. */
export const TOLERANCES = [
  { value: 0.01, label: "1 %" },
  { value: 0.1, label: "10 %" },
  { value: 0.5, label: "a factor of 2" },
  { value: 0.9, label: "a factor of 10" },
] as const;

/** "They part at step 37", and on what; the tensor's name is told apart. */
export function partingWords({ parting, first_step, tolerance }: ComparisonAnswer): string {
  if (first_step === null) return "no step and tensor in common";
  if (!parting) return `the same within ${formatShortPercent(tolerance)} of every norm`;
  const { step, last_step, initial } = parting;
  if (initial) return `they differ before step ${formatCount(step)} already`;
  if (step === last_step) return `they part at step ${formatCount(step)}`;
  return `they part within steps ${formatCount(step)}–${formatCount(last_step)}`;
}

/** "gradient on worker1": what the tensor is on which they part. */
export function partingPlace({ role, worker }: Parting): string {
  return worker ? `${roleName(role)} on ${visibleName(worker)}` : roleName(role);
}

/** How they differ there. */
export function partingReason({ runs }: ComparisonAnswer, parting: Parting): string {
  const [one, other] = parting.values.map(numberFromWire) as [number, number];
  const more = parting.tensors - 1;
  const others = more > 0 ? `, and ${formatCounted(more, "more tensor")} there` : "";
  if (parting.kind === "nonfinite") {
    const alone = visibleName(one > 0 ? runs[0] : runs[1]);
    return `${formatCounted(one || other, "non-finite element")} in ${alone} alone${others}`;
  }
  const apart = formatShortPercent(parting.relative_difference);
  return `root mean square ${formatNumber(one)} and ${formatNumber(other)}, norms apart by ${apart}${others}`;
}

/** What could not be compared. */
export function comparisonLimits({ first_step, last_step, ...rest }: ComparisonAnswer): string[] {
  const sentences: string[] = [];
  const steps = first_step === null || last_step === null ? 0 : last_step - first_step + 1;
  if (rest.norm_steps < steps) {
    sentences.push(
      `Norms could be compared at ${formatCount(rest.norm_steps)} of ${formatCounted(steps, "step")}: the records of the two runs begin and end at different ones.`,
    );
  }
  rest.only.forEach((only, index) => {
    const name = visibleName(rest.runs[index] ?? "");
    if (only > 0) sentences.push(`${formatCounted(only, "tensor")} only in ${name}.`);
  });
  return sentences;
}
