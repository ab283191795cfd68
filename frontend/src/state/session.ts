/**
 * What the tab knows and what is chosen, as signals, and what follows from a change. The one
 * place where the host, the backend and the views meet.
 */

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { fetchFindings, fetchRun, fetchRuns } from "../api/routes";
import { connectHost } from "../host/channel";
import { watchDarkMode } from "../host/dark_mode";
import { addressWith, readUrlState, writeUrlState } from "../host/fragment";
import { whenShown } from "../host/visibility";
import { TOLERANCES } from "../model/comparison";
import type { Selection } from "../model/cursor";
import { primaryFinding, tensorOf } from "../model/findings";
import type { Range } from "../model/range";
import { runToOpen } from "../model/runs";
import { AXES, LOG_STEPS, STEPS, type StepScale, wallTime } from "../model/scale";
import { columnOfStep, stepsOfColumn } from "../model/timeline";
import { DARK, LIGHT } from "../theme/colors";
import type { AxisName, FindingsAnswer, RunDetail, RunSummary, Tensor } from "../wire/answers";
import { ComparedRun } from "./compared_run";
import { RunCurves } from "./curves";
import { HeatmapGrids } from "./grids";
import { Resource } from "./resource";
import { Rows } from "./rows";
import { TensorDetail } from "./tensor_detail";
import { type Choices, choicesFromUrl, urlStateOf } from "./url_state";
import { StepViewport } from "./viewport";

/** The address follows once one has come to rest: browsers limit how often it may change. */
const KEEP_DELAY_MS = 120;

const NONE: never[] = [];

export class Session {
  readonly runs = new Resource<RunSummary[]>();
  readonly detail = new Resource<RunDetail>();
  readonly findings = new Resource<FindingsAnswer>();

  readonly dark = signal(false);
  readonly run = signal<string | null>(null);
  readonly selection = signal<Selection | null>(null);
  /** Index of the finding that is read; -1 for none. */
  readonly finding = signal(-1);
  /** Why, and what to do, is told and not folded. */
  readonly explained = signal(true);
  /** The run as a whole is drawn above the heatmap. */
  readonly curves = signal(true);
  /** The sheet of keys is open. */
  readonly help = signal(false);

  readonly theme = computed(() => (this.dark.value ? DARK : LIGHT));
  /** Names of the runs that stand beside the chosen one. */
  readonly compareWith = signal<readonly string[]>([]);
  /** They show what they differ by, and not their own values. */
  readonly difference = signal(false);
  /** Relative difference of norms from which on runs part. */
  readonly tolerance = signal<number>(TOLERANCES[0].value);
  readonly compared = signal<readonly ComparedRun[]>([]);
  /** The run whose cell was selected; null for the chosen one. */
  readonly looked = signal<string | null>(null);
  /** The steps of the whole run and of those beside it; null where there is none. */
  readonly whole = computed((): Range | null => {
    // Until its times are known there is no axis to ask for.
    if (this.axis.value === "wall" && !this.detail.value.value) return null;
    const runs = this.runs.value.value ?? [];
    const chosen =
      this.detail.value.value ?? runs.find(({ run }) => run === this.run.value) ?? undefined;
    const others = runs.filter(({ run }) => this.compareWith.value.includes(run));
    const ranges = [chosen, ...others].flatMap((one) =>
      !one || one.first_step === null || one.last_step === null
        ? []
        : { from: one.first_step, to: one.last_step + 1 },
    );
    if (ranges.length === 0) return null;
    return {
      from: Math.min(...ranges.map(({ from }) => from)),
      to: Math.max(...ranges.map(({ to }) => to)),
    };
  });
  /** What was chosen for the axis. */
  readonly axis = signal<AxisName>("step");
  /** Where steps stand; as they count where their times are not known. */
  readonly scale = computed((): StepScale => {
    const times = this.detail.value.value?.times;
    if (this.axis.value === "wall" && times) return wallTime(times);
    return this.axis.value === "log" ? LOG_STEPS : STEPS;
  });
  readonly viewport = new StepViewport(this.whole, this.scale);
  readonly grids = new HeatmapGrids(this.run, this.whole, this.viewport);
  readonly runCurves = new RunCurves(
    this.grids.norms,
    computed(() => this.detail.value.value?.tensors),
  );
  readonly rows = new Rows(
    computed(() => this.detail.value.value?.tensors ?? NONE),
    computed(() => this.findings.value.value?.findings ?? NONE),
    this.grids.overview.value,
  );
  readonly selectedTensor = computed(() => {
    const id = this.selection.value?.tensor;
    return this.detail.value.value?.tensors.find((tensor) => tensor.id === id);
  });
  /** First and last step of the column that is selected. */
  readonly selectedSteps = signal<[number, number] | undefined>(undefined);

  readonly selected = new TensorDetail(
    computed(() => this.looked.value ?? this.run.value),
    this.selectedTensor,
    this.selectedSteps,
    this.whole,
    this.viewport,
  );

  /** Counts the reloads of TensorBoard. */
  readonly #generation = signal(0);
  /** The person closed the details: nothing is to be selected for them in this run. */
  #dismissed = false;

  start(): void {
    this.#restore(choicesFromUrl(readUrlState()));
    watchDarkMode((dark) => {
      this.dark.value = dark;
    });
    connectHost(whenShown(() => this.reload()));
    effect(() => this.#loadRun());
    this.grids.start();
    this.runCurves.start();
    effect(() => this.#keepCompared());
    effect(() => this.#findSelectedSteps());
    this.selected.start();
    effect(() => this.#selectFirstTrouble());
    effect(() => {
      const kept = urlStateOf(this);
      const timer = setTimeout(() => writeUrlState(kept), KEEP_DELAY_MS);
      return () => clearTimeout(timer);
    });
    void this.#loadRuns();
  }

  /** The data may have changed: everything is asked for again, what is chosen stays. */
  reload(): void {
    this.selected.reload();
    this.#generation.value++;
    this.grids.reload();
    for (const { grids } of this.compared.value) grids.reload();
    void this.#loadRuns();
  }

  /** An address that brings others to what is in sight. */
  address(): string {
    return addressWith(urlStateOf(this));
  }

  chooseRun(run: string): void {
    if (run === this.run.value) return;
    this.#dismissed = false;
    batch(() => {
      this.run.value = run;
      this.selection.value = null;
      this.finding.value = -1;
      this.compareWith.value = this.compareWith.value.filter((other) => other !== run);
      this.viewport.reset();
      for (const resource of [this.detail, this.findings, this.grids, this.selected]) {
        resource.clear();
      }
    });
  }

  /** Selects a cell; of the run `beside` the chosen one, where that has the tensor. */
  select(selection: Selection | null, beside?: ComparedRun): void {
    this.#dismissed = selection === null;
    this.selection.value = selection;
    const isThere = beside && selection && beside.tensors.value.has(selection.tensor);
    this.looked.value = isThere ? beside.run : null;
  }

  /** Selects a tensor at the step that is selected, or else where it went non-finite. */
  selectTensor({ id, first_nonfinite_step }: Tensor, beside?: ComparedRun): void {
    const last = Math.ceil(this.viewport.range.value?.to ?? 1) - 1;
    const step = this.selection.value?.step ?? first_nonfinite_step ?? last;
    this.select({ tensor: id, step }, beside);
  }

  /** Goes from one axis to the next that the run has. */
  nextAxis(): void {
    const names = AXES.map(({ name }) => name).filter(
      (name) => name !== "wall" || this.detail.value.value?.times,
    );
    const next = names[(names.indexOf(this.scale.value.name) + 1) % names.length];
    if (next) this.axis.value = next;
  }

  /** Puts a run beside the chosen one, or takes it away. */
  toggleCompared(run: string): void {
    const others = this.compareWith.value.filter((other) => other !== run);
    const added = others.length === this.compareWith.value.length;
    this.compareWith.value = added ? [...others, run] : others;
    // Two pictures need the room.
    if (added) this.explained.value = false;
    this.looked.value = null;
  }

  /** The grids that shows a run. */
  gridsOf(run: string | null): HeatmapGrids {
    return this.compared.value.find((one) => one.run === run)?.grids ?? this.grids;
  }

  /** Goes to where two runs part. */
  showParting(compared: ComparedRun): void {
    const parting = compared.comparison.value.value?.parting;
    if (parting) this.choosePlace(parting);
  }

  /** Reads a finding: its origin is selected and comes into sight. */
  chooseFinding(index: number): void {
    const finding = this.findings.value.value?.findings[index];
    if (!finding) return;
    batch(() => {
      this.finding.value = index;
      this.explained.value = true;
      if (this.#selectPlace(finding.origin, finding.step)) this.viewport.goTo(finding.step);
    });
  }

  nextFinding(direction: 1 | -1): void {
    const findings = this.findings.value.value?.findings.length ?? 0;
    if (findings > 0) this.chooseFinding((this.finding.value + direction + findings) % findings);
  }

  /** Goes to where a finding spread. */
  choosePlace(place: FindingPlaceAt): void {
    batch(() => {
      if (this.#selectPlace(place, place.step)) this.viewport.goTo(place.step);
    });
  }

  /** Goes to another tensor at the step that is selected. */
  stepAside(tensor: string): void {
    const selection = this.selection.value;
    if (selection) this.#reveal(tensor, selection.step);
  }

  /** Selects the run's first non-finite value, unfolded. */
  selectFirstNonfinite(): void {
    const first = this.detail.value.value?.first_nonfinite;
    if (first) this.#reveal(first.tensor, first.step);
  }

  #selectPlace(place: FindingsAnswer["findings"][number]["origin"], step: number): boolean {
    const tensor = tensorOf(place, this.detail.value.value?.tensors ?? []);
    if (!tensor) return false;
    this.#reveal(tensor.id, step);
    return true;
  }

  #reveal(tensor: string, step: number): void {
    batch(() => {
      this.rows.reveal(tensor);
      this.select({ tensor, step });
    });
  }

  #restore(choices: Partial<Choices>): void {
    batch(() => {
      if (choices.run !== undefined) this.run.value = choices.run;
      if (choices.statistic) this.grids.statistic.value = choices.statistic;
      if (choices.axis) this.axis.value = choices.axis;
      if (choices.folds) this.rows.folds.value = choices.folds;
      if (choices.pinned) this.rows.pinned.value = choices.pinned;
      if (choices.filter) this.rows.filter.value = choices.filter;
      if (choices.order) this.rows.order.value = choices.order;
      if (choices.layout) this.rows.chosenLayout.value = choices.layout;
      if (choices.role) this.rows.role.value = choices.role;
      if (choices.replicas) this.rows.replicas.value = choices.replicas;
      if (choices.onlyAffected) this.rows.onlyAffected.value = true;
      if (choices.selection) this.selection.value = choices.selection;
      if (choices.compareWith) {
        this.compareWith.value = choices.compareWith;
        this.explained.value = false;
      }
      if (choices.difference) this.difference.value = true;
      if (choices.tolerance) this.tolerance.value = choices.tolerance;
      if (choices.curves !== undefined) this.curves.value = choices.curves;
      if (choices.range) this.viewport.chosen.value = choices.range;
    });
  }

  async #loadRuns(): Promise<void> {
    await this.runs.load(fetchRuns);
    const runs = this.runs.value.value;
    if (!runs || runs.some(({ run }) => run === this.run.value)) return;
    const open = runToOpen(runs);
    if (open) this.chooseRun(open.run);
  }

  #keepCompared(): void {
    const runs = this.runs.value.value;
    // What an address names may be gone.
    const wanted = this.compareWith.value.filter(
      (name) => name !== this.run.value && runs?.some(({ run }) => run === name),
    );
    const held = this.compared.peek();
    if (wanted.join("\0") === held.map(({ run }) => run).join("\0")) return;
    for (const one of held) if (!wanted.includes(one.run)) one.end();
    const { grids, whole, viewport, tolerance } = this;
    this.compared.value = wanted.map(
      (run) =>
        held.find((one) => one.run === run) ??
        untracked(() => new ComparedRun(run, grids, whole, viewport, tolerance, this.#generation)),
    );
  }

  #loadRun(): void {
    this.#generation.value;
    const run = this.run.value;
    if (run === null) return;
    void this.detail.load((signal) => fetchRun(run, signal));
    void this.findings.load((signal) => fetchFindings(run, signal));
  }

  /** They stay as they are where one pans away from them, and change with the columns' width. */
  #findSelectedSteps(): void {
    const selection = this.selection.value;
    const layers = this.grids.layers.value;
    const grid = selection && this.grids.gridAt(selection.step);
    const known = this.selectedSteps.peek();
    const holds = selection && known && known[0] <= selection.step && selection.step <= known[1];
    if (!grid) {
      if (!holds) this.selectedSteps.value = undefined;
      return;
    }
    if (holds && layers.length > 1 && grid === layers[0]) return;
    const timeline = { edges: grid.edges, columns: grid.edges.length - 1 };
    const [first, last] = stepsOfColumn(timeline, columnOfStep(timeline, selection.step));
    if (known?.[0] !== first || known[1] !== last) this.selectedSteps.value = [first, last];
  }

  /** Once all is known that tells where the trouble began. */
  #selectFirstTrouble(): void {
    const detail = this.detail.value.value;
    const { value, error } = this.findings;
    if (!detail || !(value.value || error.value)) return;
    if (this.finding.peek() < 0 && value.value) {
      this.finding.value = primaryFinding(value.value.findings);
    }
    // An old address may name a tensor that is no longer there.
    const selected = this.selection.value !== null && this.selectedTensor.value !== undefined;
    if (selected || this.#dismissed) return;
    const finding = value.value?.findings[this.finding.peek()];
    if (finding && this.#selectPlace(finding.origin, finding.step)) return;
    if (detail.first_nonfinite) this.selectFirstNonfinite();
  }
}

type FindingPlaceAt = FindingsAnswer["findings"][number]["victims"][number];
