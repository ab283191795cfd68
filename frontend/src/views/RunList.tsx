/** The runs with their diagnoses, the earliest trouble first. */

import { useEffect, useRef } from "preact/hooks";
import { plainText } from "../model/findings";
import { visibleName } from "../model/names";
import { beganText, runStateText, runsByTrouble } from "../model/runs";
import type { RunSummary } from "../wire/answers";
import { StatusIcon, statusLabel } from "./icons";

interface RunListProps {
  runs: readonly RunSummary[];
  selected: string | null;
  /** Names of the runs that are compared with the selected one. */
  compared: readonly string[];
  onSelect: (run: string) => void;
  onCompare: (run: string) => void;
}

export function RunList({ runs, selected, compared, onSelect, onCompare }: RunListProps) {
  const nav = useRef<HTMLElement>(null);
  // A run that is selected elsewhere may be out of view.
  useEffect(() => {
    const current = nav.current?.querySelector('[aria-current="true"]');
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [selected]);
  const others = runs.filter(
    ({ run, status }) => run !== selected && status !== "empty" && !compared.includes(run),
  );
  return (
    <nav class="runs" aria-label="Runs" ref={nav}>
      <h2>Runs</h2>
      {runs.length > 1 && <CompareMenu runs={others} onCompare={onCompare} />}
      <ul>
        {runsByTrouble(runs).map((run) => (
          <RunItem
            key={run.run}
            run={run}
            isSelected={run.run === selected}
            onSelect={() => onSelect(run.run)}
          />
        ))}
      </ul>
    </nav>
  );
}

interface RunItemProps {
  run: RunSummary;
  isSelected: boolean;
  onSelect: () => void;
}

function RunItem({ run, isSelected, onSelect }: RunItemProps) {
  const state = plainText(runStateText(run));
  return (
    <li>
      <button
        type="button"
        class={`run-item ${run.status}`}
        aria-current={isSelected}
        title={[run.run, beganText(run), state].filter(Boolean).join("\n")}
        onClick={onSelect}
      >
        <StatusIcon status={run.status} />
        <span class="run-name">{visibleName(run.run)}</span>
        <span class="run-state">
          {run.finding && <span class="unseen">{statusLabel(run.status)}: </span>}
          {state}
        </span>
      </button>
    </li>
  );
}

interface CompareMenuProps {
  runs: readonly RunSummary[];
  onCompare: (run: string) => void;
}

function CompareMenu({ runs, onCompare }: CompareMenuProps) {
  return (
    <select
      class="compare-with"
      aria-label="Compare with"
      disabled={runs.length === 0}
      value=""
      onChange={(event) => {
        const run = event.currentTarget.value;
        event.currentTarget.value = "";
        if (run) onCompare(run);
      }}
    >
      <option value="">Compare with…</option>
      {runsByTrouble(runs).map(({ run }) => (
        <option key={run} value={run}>
          {visibleName(run)}
        </option>
      ))}
    </select>
  );
}
