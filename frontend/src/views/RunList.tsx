/** The runs with their diagnoses: searched, sorted, and gone through by arrow keys. */

import type { Signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { plainText } from "../model/findings";
import { visibleName } from "../model/names";
import {
  beganText,
  RUN_ORDERS,
  type RunOrder,
  runCountsText,
  runStateText,
  runsByTrouble,
  runsInOrder,
  runsMatching,
  sharedDirectory,
} from "../model/runs";
import type { RunSummary } from "../wire/answers";
import { StatusIcon, statusLabel } from "./icons";
import { RunsResizer } from "./RunsResizer";
import { Unbroken } from "./verdict/MarkedText";

/** Fewer runs are seen at a glance: they need no search. */
const MANY_RUNS = 6;
/** So many of them are listed at first, and at each end of the list that is scrolled to. */
const PAGE = 60;
/** Pixels before the end at which more are listed. */
const AHEAD = 600;
/** As much of the end of a name is always shown. */
const NAME_END = 12;

interface RunListProps {
  runs: readonly RunSummary[];
  selected: string | null;
  /** Names of the runs that are compared with the selected one. */
  compared: readonly string[];
  /** Words that the listed runs have. */
  filter: Signal<string>;
  order: Signal<RunOrder>;
  width: Signal<number>;
  onSelect: (run: string) => void;
  onCompare: (run: string) => void;
}

export function RunList(props: RunListProps) {
  const { runs, selected, compared, filter, order, width, onSelect, onCompare } = props;
  const list = useRef<HTMLUListElement>(null);
  // A run that is selected elsewhere may be out of view.
  useEffect(() => {
    const current = list.current?.querySelector('[aria-current="true"]');
    current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [selected]);
  // It takes as long as the list, and none of it is needed for a word of the search.
  const compareMenu = useMemo(() => {
    const isOther = ({ run, status }: RunSummary) =>
      run !== selected && status !== "empty" && !compared.includes(run);
    return <CompareMenu runs={runsByTrouble(runs.filter(isOther))} onCompare={onCompare} />;
  }, [runs, selected, compared]);
  const directory = useMemo(() => sharedDirectory(runs.map(({ run }) => run)), [runs]);
  const sorted = useMemo(() => runsInOrder(runs, order.value), [runs, order.value]);
  const shown = runsMatching(sorted, filter.value);
  const [grown, setGrown] = useState({ text: "", count: PAGE });
  const least = grown.text === filter.value ? grown.count : PAGE;
  const count = Math.max(least, shown.findIndex(({ run }) => run === selected) + PAGE / 2);
  const grow = (count: number) => setGrown({ text: filter.value, count });
  const onScroll = ({ currentTarget: list }: { currentTarget: HTMLElement }) => {
    const below = list.scrollHeight - list.scrollTop - list.clientHeight;
    const right = list.scrollWidth - list.scrollLeft - list.clientWidth;
    if (count < shown.length && Math.max(below, right) < AHEAD) grow(count + PAGE);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "End" || count >= shown.length) return moveFocus(event);
    event.preventDefault();
    grow(shown.length);
    requestAnimationFrame(() => {
      list.current?.querySelector<HTMLElement>("li:last-child .run-item")?.focus();
    });
  };
  // One tab stop: the selected run, or the first where that is not listed.
  const stop = shown.find(({ run }) => run === selected) ?? shown[0];
  return (
    <nav class="runs" aria-label="Runs">
      <div class="runs-head">
        <h2>Runs</h2>
        <p class="run-counts">{runCountsText(runs)}</p>
        {runs.length >= MANY_RUNS && <RunSearch filter={filter} order={order} />}
        {runs.length > 1 && compareMenu}
        {directory && (
          <p class="run-directory" title="All runs are in this directory">
            in {visibleName(directory)}
          </p>
        )}
      </div>
      <ul ref={list} onKeyDown={onKeyDown} onScroll={onScroll}>
        {shown.slice(0, count).map((run) => (
          <RunItem
            key={run.run}
            run={run}
            name={run.run.slice(directory.length)}
            isSelected={run.run === selected}
            isTabStop={run === stop}
            onSelect={() => onSelect(run.run)}
          />
        ))}
        {shown.length === 0 && <li class="no-run">No run matches.</li>}
      </ul>
      <RunsResizer width={width} />
    </nav>
  );
}

/** The arrow keys go from run to run, along the list or across where it is a row. */
function moveFocus(event: KeyboardEvent): void {
  const items = [
    ...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>(".run-item"),
  ];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const last = items.length - 1;
  const to = {
    ArrowDown: at + 1,
    ArrowRight: at + 1,
    ArrowUp: at - 1,
    ArrowLeft: at - 1,
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  items[Math.min(last, Math.max(0, to))]?.focus();
}

interface RunItemProps {
  run: RunSummary;
  /** Its name without the directory that all runs are in. */
  name: string;
  isSelected: boolean;
  isTabStop: boolean;
  onSelect: () => void;
}

function RunItem({ run, name, isSelected, isTabStop, onSelect }: RunItemProps) {
  const state = plainText(runStateText(run));
  const visible = visibleName(name);
  const end = visible.length > 2 * NAME_END ? visible.slice(-NAME_END) : "";
  return (
    <li>
      <button
        type="button"
        class={`run-item ${run.status}`}
        aria-current={isSelected}
        tabIndex={isTabStop ? 0 : -1}
        title={[run.run, beganText(run), state].filter(Boolean).join("\n")}
        onClick={onSelect}
      >
        <StatusIcon status={run.status} />
        <span class="run-name">
          <span>{end ? visible.slice(0, -NAME_END) : visible}</span>
          {end && <span class="run-name-end">{end}</span>}
        </span>
        <span class="run-state">
          {run.finding && <span class="unseen">{statusLabel(run.status)}: </span>}
          <Unbroken text={state} />
        </span>
      </button>
    </li>
  );
}

function RunSearch({ filter, order }: Pick<RunListProps, "filter" | "order">) {
  return (
    <search class="run-search">
      <input
        type="search"
        id="runs-filter"
        placeholder="Search runs…"
        aria-label="Search runs by name or cause"
        value={filter.value}
        onInput={(event) => {
          filter.value = event.currentTarget.value;
        }}
      />
      <select
        aria-label="Order of the runs"
        value={order.value}
        onChange={(event) => {
          order.value = event.currentTarget.value as RunOrder;
        }}
      >
        {RUN_ORDERS.map(({ name, label }) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </select>
    </search>
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
      {runs.map(({ run }) => (
        <option key={run} value={run}>
          {visibleName(run)}
        </option>
      ))}
    </select>
  );
}
