/** The sentences that answer "where did it break" before anything is clicked. */

import type { FirstNonfinite, RunDetail, RunSummary } from "../wire/answers";
import { ROLES } from "../wire/schema";
import { formatCount, formatCounted, formatSteps } from "./numbers";

/** The run to open with: the earliest trouble, else the first one with data. */
export function runToOpen(runs: readonly RunSummary[]): RunSummary | undefined {
  return runsByTrouble(runs)[0];
}

/** Non-finite runs first, the earliest trouble first of all, then unstable, healthy, empty ones. */
export function runsByTrouble(runs: readonly RunSummary[]): RunSummary[] {
  const rank = { nonfinite: 0, unstable: 1, healthy: 2, empty: 3 };
  const collator = new Intl.Collator(undefined, { numeric: true });
  return [...runs].sort(
    (a, b) =>
      (rank[a.status] ?? 2) - (rank[b.status] ?? 2) ||
      (a.first_nonfinite?.step ?? 0) - (b.first_nonfinite?.step ?? 0) ||
      collator.compare(a.run, b.run),
  );
}

/** "1 NaN, 3 +Inf". */
export function nonfiniteCounts(
  first: Pick<FirstNonfinite, "nan" | "pos_inf" | "neg_inf">,
): string {
  const parts: [number, string][] = [
    [first.nan, "NaN"],
    [first.pos_inf, "+Inf"],
    [first.neg_inf, "−Inf"],
  ];
  return parts
    .filter(([value]) => value > 0)
    .map(([value, label]) => `${formatCount(value)} ${label}`)
    .join(", ");
}

/** "0 of 17 tensors affected". */
export function affectedSentence({ tensors }: RunDetail): string {
  const affected = tensors.filter((tensor) => tensor.nonfinite_steps > 0).length;
  return `${formatCount(affected)} of ${formatCounted(tensors.length, "tensor")} affected`;
}

export function healthySentence({ first_step, last_step }: RunDetail): string {
  if (first_step === null || last_step === null) return "No step has been recorded yet";
  return `Nothing non-finite in ${formatSteps(first_step, last_step)}`;
}

/** What the page cannot show, and why; empty where everything that was written was read. */
export function missingSentences({ records, problems }: RunDetail): string[] {
  const missing =
    records.read < records.written
      ? [
          `${formatCount(records.read)} of ${formatCounted(records.written, "record")} retained: the rest was sampled away or is damaged.`,
        ]
      : [];
  return [...missing, ...problems];
}

/** "input", "activation gradient": a role within a sentence. */
export function roleName(role: string): string {
  return ROLES.some((known) => known.name === role) ? role.replace(/_/g, " ") : role;
}
