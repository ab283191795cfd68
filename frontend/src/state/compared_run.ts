/** A run that is compared with the selected one: its own grids, and where the two first differ. */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { fetchComparison, fetchRun } from "../api/routes";
import { differencesOf, signedMagnitude } from "../model/difference";
import type { Range } from "../model/range";
import type { ComparisonAnswer, RunDetail } from "../wire/answers";
import { RunCurves } from "./curves";
import { HeatmapGrids } from "./grids";
import { Resource } from "./resource";
import type { StepViewport } from "./viewport";

export class ComparedRun {
  readonly detail = new Resource<RunDetail>();
  readonly comparison = new Resource<ComparisonAnswer>();
  readonly grids: HeatmapGrids;
  /** Its values less those of the selected run. */
  readonly differences = computed(() =>
    differencesOf(this.base.layers.value, this.grids.layers.value),
  );
  readonly differenceMagnitude = computed(() => {
    const [overview] = this.differences.value;
    return overview && signedMagnitude(overview);
  });
  readonly tensors = computed(
    () => new Map(this.detail.value.value?.tensors.map((tensor) => [tensor.id, tensor])),
  );
  readonly curves: RunCurves;
  readonly #ends: (() => void)[];

  constructor(
    readonly run: string,
    /** The grids of the selected run. */
    readonly base: HeatmapGrids,
    allSteps: ReadonlySignal<Range | null>,
    viewport: StepViewport,
    tolerance: ReadonlySignal<number>,
    /** Changes when the data does. */
    generation: ReadonlySignal<number>,
  ) {
    this.grids = new HeatmapGrids(signal(run), allSteps, viewport, base);
    this.curves = new RunCurves(
      this.grids.norms,
      computed(() => this.detail.value.value?.tensors),
    );
    this.#ends = [
      this.grids.start(),
      this.curves.start(),
      effect(() => {
        generation.value;
        void this.detail.load((signal) => fetchRun(run, signal));
      }),
      effect(() => {
        generation.value;
        const selected = base.run.value;
        if (selected === null) return;
        const query = { run: selected, with: run, tolerance: tolerance.value };
        void this.comparison.load((signal) => fetchComparison(query, signal));
      }),
    ];
  }

  end(): void {
    for (const end of this.#ends) end();
    this.detail.clear();
    this.comparison.clear();
  }
}
