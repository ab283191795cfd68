/** What is loaded for the selected tensor: its cell, a reference to compare with, and all its steps. */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { cellCache, spectrogramCache } from "../api/answer_cache";
import { queryText } from "../api/request";
import {
  type CellQuery,
  fetchSpectrogram,
  MOST_COLUMNS,
  type SpectrogramQuery,
} from "../api/routes";
import { cutFor, type Range } from "../model/range";
import { referenceStep } from "../model/reference_step";
import type { Steps } from "../model/selected_range";
import type { CellAnswer, Tensor } from "../wire/answers";
import type { Spectrogram } from "../wire/spectrogram";
import { distinct } from "./distinct";
import { Resource } from "./resource";
import type { StepViewport } from "./viewport";

/** A key that is held down passes over cells faster than they can be loaded. */
const CELL_DELAY_MS = 70;
const SPECTROGRAM_DELAY_MS = 180;
/** As fine as the charts of the details need at least. */
const CHART_COLUMNS = 96;

export class TensorDetail {
  readonly cell = new Resource<CellAnswer>();
  /** The same tensor at an earlier good step. */
  readonly reference = new Resource<CellAnswer>();
  /** The same cell of the run that was chosen as the outline. */
  readonly otherRun = new Resource<CellAnswer>();
  /** The tensor over the selected range of steps. */
  readonly range = new Resource<CellAnswer>();
  /** Name of that run; null for an earlier step of the tensor's own run. */
  readonly outlineRun = signal<string | null>(null);
  readonly spectrogram = new Resource<Spectrogram>();
  readonly cells = cellCache();

  /** The loaded cell is not the selected one yet. */
  readonly isStale = signal(false);

  readonly #spectrograms = spectrogramCache();
  readonly #generation = signal(0);

  constructor(
    readonly run: ReadonlySignal<string | null>,
    readonly tensor: ReadonlySignal<Tensor | undefined>,
    readonly steps: ReadonlySignal<[number, number] | undefined>,
    readonly allSteps: ReadonlySignal<Range | null>,
    readonly viewport: StepViewport,
    readonly selectedRange: ReadonlySignal<Steps | null>,
  ) {}

  start(): void {
    effect(() => {
      const query = this.#cellQuery(this.steps.value);
      this.isStale.value = query !== undefined && this.cells.peek(query) === undefined;
      return this.#loadCell(this.cell, query);
    });
    effect(() => {
      if (this.cell.value.value !== undefined || this.cell.error.value) this.isStale.value = false;
    });
    const reference = computed(() => {
      const [tensor, steps, all] = [this.tensor.value, this.steps.value, this.allSteps.value];
      return tensor && steps && all ? referenceStep(tensor, steps, all.from) : undefined;
    });
    effect(() => {
      const step = reference.value;
      const query = this.#cellQuery(step === undefined ? undefined : [step, step]);
      return this.#loadCell(this.reference, query);
    });
    effect(() => {
      const query = this.#cellQuery(this.steps.value);
      const run = this.outlineRun.value;
      return this.#loadCell(this.otherRun, query && run !== null ? { ...query, run } : undefined);
    });
    effect(() => this.#loadCell(this.range, this.#cellQuery(this.selectedRange.value)));
    const spectrogram = distinct(
      () => this.#spectrogramQuery(),
      (query) => (query ? queryText({ ...query }) : ""),
    );
    effect(() => this.#loadSpectrogram(spectrogram.value));
  }

  /** The tensor over a range of steps, as fine as the server has it. */
  async finest({ from, to }: Range): Promise<Spectrogram | undefined> {
    const query = this.#cellQuery([Math.floor(from), Math.ceil(to) - 1]);
    return query && fetchSpectrogram({ ...query, columns: MOST_COLUMNS, axis: "step" });
  }

  /** The data has changed. */
  reload(): void {
    this.cells.clear();
    this.#spectrograms.clear();
    this.#generation.value++;
  }

  clear(): void {
    for (const resource of [
      this.cell,
      this.reference,
      this.otherRun,
      this.range,
      this.spectrogram,
    ]) {
      resource.clear();
    }
  }

  #cellQuery(steps: Steps | null | undefined): CellQuery | undefined {
    this.#generation.value;
    const [run, tensor] = [this.run.value, this.tensor.value];
    if (run === null || !tensor || !steps) return undefined;
    return { run, tensor: tensor.id, first: steps[0], last: steps[1] };
  }

  #loadCell(
    resource: Resource<CellAnswer>,
    query: CellQuery | undefined,
  ): (() => void) | undefined {
    if (!query) {
      resource.clear();
      return undefined;
    }
    const load = () => void resource.load((signal) => this.cells.get(query, signal));
    if (this.cells.peek(query)) {
      load();
      return undefined;
    }
    const timer = setTimeout(load, CELL_DELAY_MS);
    return () => clearTimeout(timer);
  }

  #loadSpectrogram(query: SpectrogramQuery | undefined): (() => void) | undefined {
    this.#generation.value;
    if (!query) {
      this.spectrogram.clear();
      return undefined;
    }
    if (this.spectrogram.value.peek()?.tensor !== query.tensor) this.spectrogram.clear();
    const load = () =>
      void this.spectrogram.load((signal) => this.#spectrograms.get(query, signal));
    if (this.#spectrograms.peek(query)) {
      load();
      return undefined;
    }
    const timer = setTimeout(load, SPECTROGRAM_DELAY_MS);
    return () => clearTimeout(timer);
  }

  #spectrogramQuery(): SpectrogramQuery | undefined {
    const [run, tensor, range, all] = [
      this.run.value,
      this.tensor.value,
      this.viewport.range.value,
      this.allSteps.value,
    ];
    if (run === null || !tensor || !range || !all) return undefined;
    const scale = this.viewport.scale.value;
    const cut = cutFor(range, all, CHART_COLUMNS, MOST_COLUMNS, scale);
    return { run, tensor: tensor.id, axis: scale.name, ...cut };
  }
}
