/** The order of the runs, and short texts about one of them. */

import type { FindingsAnswer, RunDetail, RunSummary } from "../wire/answers";
import type { RunStatus } from "../wire/schema";
import { formatCount, formatCounted } from "./numbers";

const RANKS: Record<RunStatus, number> = {
  nonfinite: 0,
  unstable: 1,
  pending: 2,
  healthy: 3,
  empty: 4,
};

const collator = new Intl.Collator(undefined, { numeric: true });

/** NaN and Inf first, the earliest step first of all; then unstable, pending, healthy, empty runs. */
export function runsByTrouble(runs: readonly RunSummary[]): RunSummary[] {
  return sortedRuns(runs, ({ status }) => RANKS[status]);
}

export const RUN_ORDERS = [
  { name: "trouble", label: "Trouble" },
  { name: "time", label: "Newest" },
] as const;

export type RunOrder = (typeof RUN_ORDERS)[number]["name"];

export function runsInOrder(runs: readonly RunSummary[], order: RunOrder): RunSummary[] {
  const byTrouble = runsByTrouble(runs);
  if (order === "trouble") return byTrouble;
  return byTrouble.sort((a, b) => (b.last_written ?? 0) - (a.last_written ?? 0));
}

/** The runs in whose name or diagnosis every word of a text occurs. */
export function runsMatching(runs: readonly RunSummary[], text: string): readonly RunSummary[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return runs;
  return runs.filter(({ run, headline, status, finding }) => {
    const within = [run, headline, status, finding?.cause ?? ""].join(" ").toLowerCase();
    return words.every((word) => within.includes(word));
  });
}

/** The directory that all names begin with, with its slash; "" for none, and for a single run. */
export function sharedDirectory(names: readonly string[]): string {
  const [first = ""] = names;
  if (names.length < 2) return "";
  let end = first.lastIndexOf("/") + 1;
  while (end > 0 && !names.every((name) => name.startsWith(first.slice(0, end)))) {
    end = first.lastIndexOf("/", end - 2) + 1;
  }
  return first.slice(0, end);
}

const COUNTED: readonly [RunStatus, string][] = [
  ["nonfinite", "NaN"],
  ["unstable", "unstable"],
  ["healthy", "healthy"],
  ["pending", "pending"],
  ["empty", "empty"],
];

/** "17 NaN · 5 unstable · 29 healthy": how many runs there are of each status. */
export function runCountsText(runs: readonly RunSummary[]): string {
  return COUNTED.flatMap(([status, label]) => {
    const count = runs.filter((run) => run.status === status).length;
    return count > 0 ? `${formatCount(count)} ${label}` : [];
  }).join(" · ");
}

/** The run to open with: the earliest trouble. A pending run may be worse than one known to be healthy. */
export function runToOpen(runs: readonly RunSummary[]): RunSummary | undefined {
  const isSuspect = ({ status, nonfinite_tensors }: RunSummary) =>
    status === "pending" && nonfinite_tensors > 0;
  return sortedRuns(runs, (run) => (isSuspect(run) ? 0.5 : RANKS[run.status]))[0];
}

function sortedRuns(
  runs: readonly RunSummary[],
  rankOf: (run: RunSummary) => number,
): RunSummary[] {
  return [...runs].sort(
    (a, b) =>
      rankOf(a) - rankOf(b) ||
      (a.finding?.step ?? 0) - (b.finding?.step ?? 0) ||
      collator.compare(a.run, b.run),
  );
}

export function isAnyPending(runs: readonly RunSummary[] | undefined): boolean {
  return runs?.some(({ status }) => status === "pending") ?? false;
}

/** The text below a run's name in the list. */
export function runStateText({ status, headline, finding }: RunSummary): string {
  if (status === "pending") return "not diagnosed yet";
  if (status === "empty") return "no data yet";
  // The page of a healthy run has its headline, with what was checked.
  return status === "healthy" ? "healthy" : (finding?.headline ?? headline);
}

/** "began 9/21/2026, 1:33:20 PM", in the reader's language and time zone; "" where that is not known. */
export function beganText({ began }: RunSummary): string {
  return began === null ? "" : `began ${new Date(1000 * began).toLocaleString()}`;
}

/** "NaN or Inf reached 3 of 17 tensors", "240 steps recorded", and what loss scaling did. */
export function runFacts(
  { first_step, last_step, tensors }: RunDetail,
  { findings }: Pick<FindingsAnswer, "findings">,
  scaleSkippedSteps: number,
): string[] {
  const affected = tensors.filter(({ nonfinite_steps }) => nonfinite_steps > 0).length;
  // The headline of a healthy run has its number of steps.
  const isTroubled = affected > 0 || findings.length > 0;
  const isScalingTold = findings.some(({ cause }) => cause.startsWith("loss-scale-"));
  return [
    ...(affected > 0
      ? [
          `NaN or Inf reached ${formatCount(affected)} of ${formatCounted(tensors.length, "tensor")}`,
        ]
      : []),
    ...(isTroubled && first_step !== null && last_step !== null
      ? [`${formatCounted(last_step - first_step + 1, "step")} recorded`]
      : []),
    ...(scaleSkippedSteps > 0 && !isScalingTold
      ? [`LossScaleOptimizer skipped ${formatCounted(scaleSkippedSteps, "step")} (normal)`]
      : []),
  ];
}

/** Why the page may be incomplete; empty where everything that was written was read. */
export function missingDataTexts({ records, problems }: RunDetail): string[] {
  const missing =
    records.read < records.written
      ? [
          `Only ${formatCount(records.read)} of ${formatCounted(records.written, "record")} could be read. The others were dropped by TensorBoard’s sampling or are damaged.`,
        ]
      : [];
  return [...missing, ...problems];
}
