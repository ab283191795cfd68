/**
 * What the tab knows and what is chosen, as signals, and what follows from a change. The one
 * place where the host, the backend and the views meet.
 */

import { batch, computed, effect, signal } from "@preact/signals";
import { CellCache } from "../api/cells";
import { fetchGrid, fetchRun, fetchRuns } from "../api/routes";
import { connectHost } from "../host/channel";
import { watchDarkness } from "../host/darkness";
import { readKept, writeKept } from "../host/fragment";
import { whenShown } from "../host/visibility";
import type { Selection } from "../model/cursor";
import { lanesOf } from "../model/lanes";
import { magnitudeOf } from "../model/magnitude";
import { columnOfStep, stepsOfColumn, timelineOf } from "../model/timeline";
import { runToOpen } from "../model/verdict";
import { DARK, LIGHT } from "../theme/colours";
import type { CellAnswer, RunDetail, RunSummary } from "../wire/answers";
import type { Grid } from "../wire/grid";
import type { StatisticName } from "../wire/schema";
import { type Choices, choicesOf, keptOf } from "./kept";
import { Resource } from "./resource";

/** A key held down passes over cells faster than they could be asked for. */
const CELL_DELAY_MS = 70;

export class Session {
  readonly runs = new Resource<RunSummary[]>();
  readonly detail = new Resource<RunDetail>();
  readonly grid = new Resource<Grid>();
  readonly cell = new Resource<CellAnswer>();
  readonly cells = new CellCache();

  readonly dark = signal(false);
  readonly run = signal<string | null>(null);
  readonly statistic = signal<StatisticName>("norm");
  readonly closed = signal<ReadonlySet<string>>(new Set());
  readonly selection = signal<Selection | null>(null);
  /** The most columns that the screen has room for; 0 before it is known. */
  readonly columns = signal(0);

  readonly theme = computed(() => (this.dark.value ? DARK : LIGHT));
  readonly lanes = computed(() => lanesOf(this.detail.value.value?.tensors ?? []));
  readonly magnitude = computed(() => {
    const grid = this.grid.value.value;
    return grid && magnitudeOf(grid.value, grid.scale);
  });
  readonly selectedTensor = computed(() => {
    const id = this.selection.value?.tensor;
    return this.detail.value.value?.tensors.find((tensor) => tensor.id === id);
  });
  /** First and last step of the column that is selected. */
  readonly selectedSteps = computed((): [number, number] | undefined => {
    const grid = this.grid.value.value;
    const selection = this.selection.value;
    if (!grid || !selection) return undefined;
    const timeline = timelineOf(grid.edges, 1);
    const column = columnOfStep(timeline, selection.step);
    return column < 0 ? undefined : stepsOfColumn(timeline, column);
  });

  /** Counts the reloads of TensorBoard. */
  readonly #generation = signal(0);
  /** The person closed the details: nothing is to be selected for them in this run. */
  #dismissed = false;

  start(): void {
    this.#restore(choicesOf(readKept()));
    watchDarkness((dark) => {
      this.dark.value = dark;
    });
    connectHost(whenShown(() => this.reload()));
    effect(() => this.#loadRun());
    effect(() => this.#loadGrid());
    effect(() => this.#loadCell());
    effect(() => this.#selectFirstTrouble());
    effect(() => writeKept(keptOf(this)));
    void this.#loadRuns();
  }

  /** The data may have changed: everything is asked for again, what is chosen stays. */
  reload(): void {
    this.cells.clear();
    this.#generation.value++;
    void this.#loadRuns();
  }

  chooseRun(run: string): void {
    if (run === this.run.value) return;
    this.#dismissed = false;
    batch(() => {
      this.run.value = run;
      this.selection.value = null;
      for (const resource of [this.detail, this.grid, this.cell]) resource.clear();
    });
  }

  select(selection: Selection | null): void {
    this.#dismissed = selection === null;
    this.selection.value = selection;
  }

  /** Selects the run's first non-finite value, in an opened lane. */
  selectFirstNonfinite(): void {
    const first = this.detail.value.value?.first_nonfinite;
    if (!first) return;
    batch(() => {
      if (this.closed.value.has(first.role)) this.toggleRole(first.role);
      this.select({ tensor: first.tensor, step: first.step });
    });
  }

  toggleRole(role: string): void {
    const closed = new Set(this.closed.value);
    if (!closed.delete(role)) closed.add(role);
    this.closed.value = closed;
  }

  #restore(choices: Partial<Choices>): void {
    batch(() => {
      if (choices.run !== undefined) this.run.value = choices.run;
      if (choices.statistic) this.statistic.value = choices.statistic;
      if (choices.closed) this.closed.value = choices.closed;
      if (choices.selection) this.selection.value = choices.selection;
    });
  }

  async #loadRuns(): Promise<void> {
    await this.runs.load(fetchRuns);
    const runs = this.runs.value.value;
    if (!runs || runs.some(({ run }) => run === this.run.value)) return;
    const open = runToOpen(runs);
    if (open) this.chooseRun(open.run);
  }

  #loadRun(): void {
    this.#generation.value;
    const run = this.run.value;
    if (run !== null) void this.detail.load((signal) => fetchRun(run, signal));
  }

  #loadGrid(): void {
    this.#generation.value;
    const run = this.run.value;
    const statistic = this.statistic.value;
    const columns = this.columns.value;
    if (run === null || columns === 0) return;
    void this.grid.load((signal) => fetchGrid({ run, statistic, columns }, signal));
  }

  #loadCell(): (() => void) | undefined {
    this.#generation.value;
    const tensor = this.selection.value?.tensor;
    const steps = this.selectedSteps.value;
    const run = this.run.value;
    if (tensor === undefined || !steps || run === null) {
      this.cell.clear();
      return undefined;
    }
    const query = { run, tensor, first: steps[0], last: steps[1] };
    const ask = () => void this.cell.load((signal) => this.cells.get(query, signal));
    if (this.cells.peek(query)) {
      ask();
      return undefined;
    }
    const timer = setTimeout(ask, CELL_DELAY_MS);
    return () => clearTimeout(timer);
  }

  #selectFirstTrouble(): void {
    const detail = this.detail.value.value;
    if (detail?.first_nonfinite && this.selection.value === null && !this.#dismissed) {
      this.selectFirstNonfinite();
    }
  }
}
