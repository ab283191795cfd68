/** Notices when a shown run has grown, or may have while its server was away. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import type { RunList } from "./run_list";

/** A run that was written to so recently is live when it is opened. */
const RECENT_MS = 60_000;

interface Seen {
  /** When it was last written to, as it was last listed; undefined where it never was. */
  written: number | null | undefined;
  /** Its last step and records; undefined where it was not read yet. */
  counts: string | undefined;
  /** Whether it is listed now. */
  isListed: boolean;
}

export class Growth {
  /** When the selected run was last seen to grow, by the page's clock; null where it was not. */
  readonly updatedAt = signal<number | null>(null);
  #known: ReadonlyMap<string, Seen> = new Map();
  #wasAway = false;

  constructor(
    readonly runs: RunList,
    readonly selected: ReadonlySignal<string | null>,
    readonly compared: ReadonlySignal<readonly string[]>,
  ) {}

  /** Calls `onGrown` whenever data of a shown run is new, or may be. */
  start(onGrown: () => void): void {
    effect(() => {
      const selected = this.selected.value;
      const before = this.#known;
      const isBack = this.#wasAway && this.runs.error.value === undefined;
      this.#wasAway = this.runs.error.value !== undefined;
      this.#known = this.#see(selected === null ? [] : [selected, ...this.compared.value]);
      let isNew = false;
      for (const [run, seen] of this.#known) {
        const { isListed } = seen;
        const last = before.get(run);
        const hasGrown = last !== undefined && differs(last, seen);
        // A server that has just begun lists a run once it has found it.
        const hasReturned = last !== undefined && (isBack || !last.isListed);
        if (isListed && (hasGrown || hasReturned)) isNew = true;
        if (run === selected && hasGrown) this.updatedAt.value = Date.now();
      }
      if (selected !== null && !before.has(selected)) {
        this.updatedAt.value = recent(this.runs.find(selected)?.last_written);
      }
      if (isNew) onGrown();
    });
  }

  /** What is known of runs; of one that is not listed only what was, or that its server went. */
  #see(names: readonly string[]): ReadonlyMap<string, Seen> {
    const seen = new Map<string, Seen>();
    for (const name of names) {
      const listed = this.runs.find(name);
      const before = this.#known.get(name);
      if (listed) {
        const { last_written: written, last_step, records } = listed;
        const counts = last_step === null ? undefined : `${last_step} ${records.written}`;
        seen.set(name, { written, counts, isListed: true });
      } else if (before || this.#wasAway) {
        seen.set(name, { written: before?.written, counts: before?.counts, isListed: false });
      }
    }
    return seen;
  }
}

/** Whether a run has grown. Its time alone does not tell: clocks are put back. */
function differs(before: Seen, now: Seen): boolean {
  if (before.written !== undefined && before.written !== now.written) return true;
  return before.counts !== undefined && now.counts !== undefined && before.counts !== now.counts;
}

/** The time of a run that was written to so recently that it is live; else null. */
function recent(written: number | null | undefined): number | null {
  const milliseconds = (written ?? 0) * 1000;
  return Date.now() - milliseconds < RECENT_MS ? milliseconds : null;
}
