/** The runs, asked for again for as long as some of them have not been diagnosed. */

import { effect } from "@preact/signals";
import { fetchRuns } from "../api/routes";
import { whenShown } from "../host/visibility";
import { isAnyPending } from "../model/runs";
import type { RunSummary } from "../wire/answers";
import { Resource } from "./resource";

const POLL_MS = 2000;

export class RunList extends Resource<RunSummary[]> {
  start(): void {
    const reload = whenShown(() => void this.reload());
    effect(() => {
      if (this.loading.value || !isAnyPending(this.value.value)) return undefined;
      const timer = setTimeout(reload, POLL_MS);
      return () => clearTimeout(timer);
    });
  }

  reload(): Promise<void> {
    return this.load(fetchRuns);
  }

  find(name: string | null): RunSummary | undefined {
    return this.value.value?.find(({ run }) => run === name);
  }
}
