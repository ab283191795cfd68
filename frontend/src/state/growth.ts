/** Notices when a shown run has grown. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import type { RunList } from "./run_list";

/** A run that was written to so recently is live when it is opened. */
const RECENT_MS = 60_000;

export class Growth {
  /** When the selected run was last seen to grow, by the page's clock; null where it was not. */
  readonly updatedAt = signal<number | null>(null);
  #known = new Map<string, number | null>();

  constructor(
    readonly runs: RunList,
    readonly selected: ReadonlySignal<string | null>,
    readonly compared: ReadonlySignal<readonly string[]>,
  ) {}

  /** Calls `onGrown` whenever data of a shown run is new. */
  start(onGrown: () => void): void {
    effect(() => {
      const selected = this.selected.value;
      const shown = [selected, ...this.compared.value].flatMap(
        (name) => this.runs.find(name) ?? [],
      );
      const before = this.#known;
      this.#known = new Map(shown.map(({ run, last_written }) => [run, last_written]));
      const grown = shown.filter(
        ({ run, last_written }) => before.has(run) && before.get(run) !== last_written,
      );
      if (selected !== null && !before.has(selected)) {
        const written = (this.#known.get(selected) ?? 0) * 1000;
        this.updatedAt.value = Date.now() - written < RECENT_MS ? written : null;
      }
      if (grown.some(({ run }) => run === selected)) this.updatedAt.value = Date.now();
      if (grown.length > 0) onGrown();
    });
  }
}
