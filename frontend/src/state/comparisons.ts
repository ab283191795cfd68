/** The runs that are compared with the selected one, and how. */

import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import { TOLERANCES } from "../model/comparison";
import type { Range } from "../model/range";
import { ComparedRun } from "./compared_run";
import type { HeatmapGrids } from "./grids";
import type { RunList } from "./run_list";
import type { StepViewport } from "./viewport";

export class Comparisons {
  /** Names of the compared runs, also of those that are not there. */
  readonly names = signal<readonly string[]>([]);
  readonly runs = signal<readonly ComparedRun[]>([]);
  /** Compared runs show their difference from the selected run, and not their values. */
  readonly showDifference = signal(false);
  /** Their rows are together with those of the selected run, and not below all of them. */
  readonly isTogether = signal(false);
  /** Relative difference of norms from which runs count as different. */
  readonly tolerance = signal<number>(TOLERANCES[0].value);

  constructor(
    readonly runList: RunList,
    /** The grids of the selected run. */
    readonly base: HeatmapGrids,
    readonly allSteps: ReadonlySignal<Range | null>,
    readonly viewport: StepViewport,
    /** Changes when the data does. */
    readonly generation: ReadonlySignal<number>,
  ) {}

  start(): void {
    effect(() => this.#update());
  }

  add(run: string): void {
    if (!this.names.value.includes(run)) this.names.value = [...this.names.value, run];
  }

  remove(run: string): void {
    this.names.value = this.names.value.filter((other) => other !== run);
  }

  /** The grids of a run; null means the selected one. */
  gridsOf(run: string | null): HeatmapGrids {
    return this.runs.value.find((one) => one.run === run)?.grids ?? this.base;
  }

  #update(): void {
    // An address may name runs that are gone.
    const wanted = this.names.value.filter(
      (name) => name !== this.base.run.value && this.runList.find(name),
    );
    const present = this.runs.peek();
    const isSame =
      wanted.length === present.length && wanted.every((run, at) => run === present[at]?.run);
    if (isSame) return;
    for (const one of present) if (!wanted.includes(one.run)) one.end();
    this.runs.value = wanted.map(
      (run) => present.find((one) => one.run === run) ?? untracked(() => this.#compare(run)),
    );
  }

  #compare(run: string): ComparedRun {
    const { base, allSteps, viewport, tolerance, generation } = this;
    return new ComparedRun(run, base, allSteps, viewport, tolerance, generation);
  }
}
