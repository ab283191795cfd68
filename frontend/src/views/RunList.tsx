/** The runs, the earliest trouble first. */

import { useEffect, useRef } from "preact/hooks";
import { visibleName } from "../model/names";
import { formatCount, formatCounted } from "../model/numbers";
import { runsByTrouble } from "../model/runs";
import type { Session } from "../state/session";
import type { RunSummary } from "../wire/answers";
import { StatusIcon } from "./icons";

export function Runs({ session, runs }: { session: Session; runs: RunSummary[] }) {
  const nav = useRef<HTMLElement>(null);
  const chosen = session.run.value;
  // Another choice may be out of sight.
  useEffect(() => {
    const current = nav.current?.querySelector('[aria-current="true"]');
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [chosen]);
  return (
    <nav class="runs" aria-label="Runs" ref={nav}>
      <h2>Runs</h2>
      <CompareWith session={session} runs={runs} />
      <ul>
        {runsByTrouble(runs).map((run) => (
          <li key={run.run}>
            <button
              type="button"
              class={`run-item ${run.status}`}
              aria-current={run.run === chosen}
              title={run.run}
              onClick={() => session.chooseRun(run.run)}
            >
              <StatusIcon status={run.status} />
              <span class="run-name">{visibleName(run.run)}</span>
              <span class="run-state">{stateOf(run)}</span>
            </button>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** Puts another run beside the chosen one. */
function CompareWith({ session, runs }: { session: Session; runs: RunSummary[] }) {
  const others = runs.filter(
    ({ run, status }) =>
      run !== session.run.value && status !== "empty" && !session.compareWith.value.includes(run),
  );
  if (runs.length < 2) return null;
  return (
    <select
      class="compare-with"
      aria-label="Compare with"
      disabled={others.length === 0}
      value=""
      onChange={(event) => {
        const run = event.currentTarget.value;
        event.currentTarget.value = "";
        if (run) session.toggleCompared(run);
      }}
    >
      <option value="">Compare with…</option>
      {runsByTrouble(others).map(({ run }) => (
        <option key={run} value={run}>
          {visibleName(run)}
        </option>
      ))}
    </select>
  );
}

function stateOf({ status, first_nonfinite, tensors }: RunSummary): string {
  if (status === "nonfinite" && first_nonfinite)
    return `non-finite ${first_nonfinite.initial ? "before" : "from"} step ${formatCount(first_nonfinite.step)}`;
  if (status === "empty") return "no record";
  if (status === "unstable") return `unstable, ${formatCounted(tensors, "tensor")}`;
  return `finite, ${formatCounted(tensors, "tensor")}`;
}
