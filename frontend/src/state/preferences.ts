/** The reader's own choices, which are no part of a link: this browser keeps them. */

import { effect, signal } from "@preact/signals";
import { readStored, store } from "../host/storage";

/** Widths of the list of runs, in pixels. */
export const RUNS_WIDTH = { least: 140, usual: 212, most: 520 };

export class Preferences {
  readonly runsWidth = signal(clampedWidth(Number(readStored("runs-width")) || RUNS_WIDTH.usual));
  /** The hint for the first visit was closed. */
  readonly knowsHint = signal(readStored("hint") === "closed");

  start(): void {
    effect(() => store("runs-width", String(this.runsWidth.value)));
    effect(() => {
      if (this.knowsHint.value) store("hint", "closed");
    });
  }
}

export function clampedWidth(width: number): number {
  return Math.round(Math.min(RUNS_WIDTH.most, Math.max(RUNS_WIDTH.least, width)));
}
