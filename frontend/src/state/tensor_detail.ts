/** What is known of the selected tensor: its cell, an earlier healthy one, and it over time. */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { cellCache, spectrogramCache } from "../api/answer_cache";
import {
  type CellQuery,
  fetchSpectrogram,
  MOST_COLUMNS,
  type SpectrogramQuery,
} from "../api/routes";
import { cutFor, type Range } from "../model/range";
import { referenceStep } from "../model/reference_step";
import type { CellAnswer, Tensor } from "../wire/answers";
import type { Spectrogram } from "../wire/spectrogram";
import { Resource } from "./resource";
import type { StepViewport } from "./viewport";

/** A key held down passes over cells faster than they could be asked for. */
const CELL_DELAY_MS = 70;
const OVER_TIME_DELAY_MS = 180;
/** As fine as a chart of the details needs at least. */
const CHART_COLUMNS = 96;

export class TensorDetail {
  readonly cell = new Resource<CellAnswer>();
  /** Of a healthy step before the selected one. */
  readonly earlier = new Resource<CellAnswer>();
  /** Of the run that was chosen to stand behind it, in the same steps. */
  readonly other = new Resource<CellAnswer>();
  /** Name of that run; null for an earlier step of its own. */
  readonly outline = signal<string | null>(null);
  readonly overTime = new Resource<Spectrogram>();
  readonly cells = cellCache();

  /** What is known of the cell is of another selection than the present one. */
  readonly isStale = signal(false);

  readonly #spectrograms = spectrogramCache();
  readonly #generation = signal(0);

  constructor(
    readonly run: ReadonlySignal<string | null>,
    readonly tensor: ReadonlySignal<Tensor | undefined>,
    readonly steps: ReadonlySignal<[number, number] | undefined>,
    readonly whole: ReadonlySignal<Range | null>,
    readonly viewport: StepViewport,
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
    const earlier = computed(() => {
      const [tensor, steps, whole] = [this.tensor.value, this.steps.value, this.whole.value];
      return tensor && steps && whole ? referenceStep(tensor, steps, whole.from) : undefined;
    });
    effect(() => {
      const step = earlier.value;
      return this.#loadCell(
        this.earlier,
        this.#cellQuery(step === undefined ? undefined : [step, step]),
      );
    });
    effect(() => {
      const query = this.#cellQuery(this.steps.value);
      const run = this.outline.value;
      return this.#loadCell(this.other, query && run !== null ? { ...query, run } : undefined);
    });
    // As text: a signal changes only where its value does.
    const query = computed(() => {
      const asked = this.#spectrogramQuery();
      return asked ? JSON.stringify(asked) : null;
    });
    effect(() => {
      this.#generation.value;
      if (query.value === null) {
        this.overTime.clear();
        return undefined;
      }
      const asked = JSON.parse(query.value) as SpectrogramQuery;
      if (this.overTime.value.peek()?.tensor !== asked.tensor) this.overTime.clear();
      const load = () => void this.overTime.load((signal) => this.#spectrograms.get(asked, signal));
      if (this.#spectrograms.peek(asked)) {
        load();
        return undefined;
      }
      const timer = setTimeout(load, OVER_TIME_DELAY_MS);
      return () => clearTimeout(timer);
    });
  }

  /** The tensor over a range of steps, as fine as the server gives it. */
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
    for (const resource of [this.cell, this.earlier, this.other, this.overTime]) resource.clear();
  }

  #cellQuery(steps: [number, number] | undefined): CellQuery | undefined {
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
    const ask = () => void resource.load((signal) => this.cells.get(query, signal));
    if (this.cells.peek(query)) {
      ask();
      return undefined;
    }
    const timer = setTimeout(ask, CELL_DELAY_MS);
    return () => clearTimeout(timer);
  }

  #spectrogramQuery(): SpectrogramQuery | undefined {
    const [run, tensor, range, whole] = [
      this.run.value,
      this.tensor.value,
      this.viewport.range.value,
      this.whole.value,
    ];
    if (run === null || !tensor || !range || !whole) return undefined;
    const scale = this.viewport.scale.value;
    const cut = cutFor(range, whole, CHART_COLUMNS, MOST_COLUMNS, scale);
    return { run, tensor: tensor.id, axis: scale.name, ...cut };
  }
}
