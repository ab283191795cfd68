/** The tensors of several runs, and where two of them first differ, as text. */

import type { ComparisonAnswer, FirstDifference, Tensor } from "../wire/answers";
import { numberFromWire } from "../wire/answers";
import { visibleName } from "./names";
import { formatCount, formatCounted, formatNumber, formatShortPercent } from "./numbers";
import { sharedDirectory } from "./runs";

/** Relative differences of norms that can be chosen as the tolerance. */
export const TOLERANCES = [
  { value: 0.01, label: "1%" },
  { value: 0.1, label: "10%" },
  { value: 0.5, label: "a factor of 2" },
  { value: 0.9, label: "a factor of 10" },
] as const;

/** "diverges from healthy at step 37": what follows the name of the second run. */
export function divergenceText({
  runs,
  first_difference,
  first_step,
  tolerance,
}: ComparisonAnswer): string {
  const base = visibleName(runs[0]);
  if (first_step === null) return `has no step and tensor in common with ${base}`;
  if (!first_difference)
    return `matches ${base}: all norms within ${formatShortPercent(tolerance)}`;
  const { step, last_step, initial } = first_difference;
  if (initial) return `differs from ${base} before step ${formatCount(step)}`;
  if (step === last_step) return `diverges from ${base} at step ${formatCount(step)}`;
  return `diverges from ${base} within steps ${formatCount(step)}–${formatCount(last_step)}`;
}

/** "40 NaN or Inf in b, none in a; 2 more tensors in the same step": how the runs differ there. */
export function differenceText({ runs }: ComparisonAnswer, difference: FirstDifference): string {
  const [one, other] = difference.values.map(numberFromWire) as [number, number];
  const [base, compared] = runs.map(visibleName) as [string, string];
  const more = difference.tensors - 1;
  const others = more > 0 ? `; ${formatCounted(more, "more tensor")} in the same step` : "";
  if (difference.kind === "nonfinite") {
    const [bad, good] = one > 0 ? [base, compared] : [compared, base];
    return `${formatCount(one || other)} NaN or Inf in ${bad}, none in ${good}${others}`;
  }
  const relative = formatShortPercent(difference.relative_difference);
  return `RMS ${formatNumber(one)} in ${base}, ${formatNumber(other)} in ${compared}, norms differ by ${relative}${others}`;
}

/** What could not be compared, as sentences. */
export function comparisonLimits({ first_step, last_step, ...rest }: ComparisonAnswer): string[] {
  const sentences: string[] = [];
  const steps = first_step === null || last_step === null ? 0 : last_step - first_step + 1;
  if (rest.norm_steps < steps) {
    sentences.push(
      `Norms compared at ${formatCount(rest.norm_steps)} of ${formatCounted(steps, "step")}: elsewhere the recording windows of the runs do not match.`,
    );
  }
  rest.only.forEach((only, index) => {
    const name = visibleName(rest.runs[index] ?? "");
    if (only > 0) sentences.push(`${formatCounted(only, "tensor")} only in ${name}.`);
  });
  return sentences;
}

export interface RunTensors {
  run: string;
  tensors: ReadonlyMap<string, Tensor>;
}

/**
 * The tensors of the first run with those that it lacks, each after the one that precedes it in its
 * own run. What was seen of these is not known of the first run.
 */
export function unitedTensors(
  tensors: readonly Tensor[],
  others: readonly RunTensors[],
): readonly Tensor[] {
  const known = new Set(tensors.map(({ id }) => id));
  return others.reduce((united, other) => {
    const after = new Map<string, Tensor[]>();
    let before = "";
    for (const tensor of other.tensors.values()) {
      if (known.has(tensor.id)) before = tensor.id;
      else after.set(before, [...(after.get(before) ?? []), unseen(tensor)]);
    }
    for (const added of after.values()) for (const { id } of added) known.add(id);
    if (after.size === 0) return united;
    return [
      ...(after.get("") ?? []),
      ...united.flatMap((tensor) => [tensor, ...(after.get(tensor.id) ?? [])]),
    ];
  }, tensors);
}

function unseen(tensor: Tensor): Tensor {
  const never = { first_nonfinite_step: null, last_nonfinite_step: null };
  return { ...tensor, ...never, nonfinite_steps: 0 };
}

/** "only in a": which runs have tensors that the others lack; "" where each has one of them. */
export function onlyInText(tensors: readonly Tensor[], runs: readonly RunTensors[]): string {
  const having = runs.filter((run) => tensors.some(({ id }) => run.tensors.has(id)));
  if (having.length === 0 || having.length === runs.length) return "";
  const cut = sharedDirectory(runs.map(({ run }) => run)).length;
  return `only in ${having.map(({ run }) => visibleName(run.slice(cut))).join(", ")}`;
}
