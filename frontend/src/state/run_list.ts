/** The runs, asked for again for as long as the page is in view: often while some are not diagnosed. */

import { effect } from "@preact/signals";
import { fetchRuns } from "../api/routes";
import { whenShown } from "../host/visibility";
import { isAnyPending } from "../model/runs";
import type { RunSummary } from "../wire/answers";
import { isEmbedded } from "../wire/embedded";
import { Resource } from "./resource";

/** While runs are pending, at first and after so many answers. */
const QUICK_MS = 700;
const QUICK_ANSWERS = 5;
const PENDING_MS = 2000;
/** Otherwise: while runs grow, are awaited or the server is; and while they rest. */
const LIVE_MS = 5000;
const RESTING_MS = 20_000;
/** A run rests when nothing was written to it for so long. */
const REST_SECONDS = 300;

export class RunList extends Resource<RunSummary[]> {
  #answers = 0;

  start(): void {
    if (isEmbedded()) return;
    const reload = whenShown(() => void this.reload());
    effect(() => {
      if (this.loading.value) return undefined;
      const timer = setTimeout(reload, this.#delay(this.value.value));
      return () => clearTimeout(timer);
    });
  }

  reload(): Promise<void> {
    this.#answers++;
    return this.load(fetchRuns);
  }

  /** Whether it is too early to tell which run is the worst. */
  get isEarly(): boolean {
    return isAnyPending(this.value.value) && this.#answers < QUICK_ANSWERS;
  }

  find(name: string | null): RunSummary | undefined {
    return this.value.value?.find(({ run }) => run === name);
  }

  #delay(runs: readonly RunSummary[] | undefined): number {
    if (this.error.value !== undefined || runs?.length === 0) return LIVE_MS;
    if (isAnyPending(runs)) return this.#answers < QUICK_ANSWERS ? QUICK_MS : PENDING_MS;
    const newest = Math.max(0, ...(runs ?? []).map(({ last_written }) => last_written ?? 0));
    return Date.now() / 1000 - newest < REST_SECONDS ? LIVE_MS : RESTING_MS;
  }
}
