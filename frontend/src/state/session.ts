/**
 * What the tab knows and what is selected, as signals, and what follows from a change. The one
 * place where the host, the backend and the views meet.
 */

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { fetchFindings, fetchLogDirectory, fetchRun } from "../api/routes";
import { connectHost } from "../host/channel";
import { watchDarkMode } from "../host/dark_mode";
import { addressWith, onNavigation, readUrlState, writeUrlState } from "../host/fragment";
import { whenShown } from "../host/visibility";
import { type RunTensors, unitedTensors } from "../model/comparison";
import type { Selection } from "../model/cursor";
import { originOf, primaryFinding, tensorOf } from "../model/findings";
import type { PanelTab } from "../model/panel";
import type { Range } from "../model/range";
import { isAnyPending, type RunOrder, runToOpen } from "../model/runs";
import { AXES, LOG_STEPS, STEPS, type StepScale, wallTime } from "../model/scale";
import type { Steps } from "../model/selected_range";
import { columnOfStep, stepsOfColumn } from "../model/timeline";
import { DARK, LIGHT } from "../theme/colors";
import type {
  AffectedPlace,
  AxisName,
  FindingPlace,
  FindingsAnswer,
  FirstDifference,
  RunDetail,
  Tensor,
} from "../wire/answers";
import type { ComparedRun } from "./compared_run";
import { Comparisons } from "./comparisons";
import { RunCurves } from "./curves";
import { distinct } from "./distinct";
import { HeatmapGrids } from "./grids";
import { Growth } from "./growth";
import { LayerTable } from "./layers";
import { Preferences } from "./preferences";
import { Resource } from "./resource";
import { Rows } from "./rows";
import { RunList } from "./run_list";
import { TensorDetail } from "./tensor_detail";
import { applyChoices, type Choices, choicesFromUrl, urlStateOf } from "./url_state";
import { StepViewport } from "./viewport";

/** The address follows once one has come to rest: browsers limit how often it may change. */
const URL_DELAY_MS = 120;

const NONE: never[] = [];

export class Session {
  readonly runs = new RunList();
  readonly logDirectory = new Resource<string>();
  readonly detail = new Resource<RunDetail>();
  readonly findings = new Resource<FindingsAnswer>();

  readonly dark = signal(false);
  readonly theme = computed(() => (this.dark.value ? DARK : LIGHT));
  /** Name of the selected run. */
  readonly run = signal<string | null>(null);
  readonly selection = signal<Selection | null>(null);
  /** Index of the open finding; -1 for none. */
  readonly openFinding = signal(-1);
  /** The curves of the run are drawn above the heatmap. */
  readonly curvesShown = signal(true);
  readonly helpShown = signal(false);
  readonly paletteShown = signal(false);
  /** The tab of the panel that was chosen in this run; null for the one that fits it. */
  readonly chosenTab = signal<PanelTab | null>(null);
  /** Layers are what a run without trouble is looked at for. */
  readonly panelTab = computed((): PanelTab => {
    const findings = this.findings.value.value?.findings;
    return this.chosenTab.value ?? (!findings || primaryFinding(findings) >= 0 ? "why" : "layers");
  });
  /** Where the open finding began, or else the most important one. */
  readonly origin = computed(() => {
    const findings = this.findings.value.value?.findings ?? NONE;
    const finding = findings[this.openFinding.value] ?? findings[primaryFinding(findings)];
    const tensors = this.detail.value.value?.tensors ?? NONE;
    return finding && finding.severity !== "info" ? originOf(finding, tensors) : null;
  });
  /** Counts the places that were revealed: each is scrolled to, also a second time. */
  readonly revealed = signal(0);
  /** The compared run whose cell is selected; null for the selected run. */
  readonly cellRun = signal<string | null>(null);
  /** The chosen axis. */
  readonly axis = signal<AxisName>("step");
  /** The scale of the axis; plain steps where the run has no times. */
  readonly scale = computed((): StepScale => {
    const times = this.detail.value.value?.times;
    if (this.axis.value === "wall" && times) return wallTime(times);
    return this.axis.value === "log" ? LOG_STEPS : STEPS;
  });
  /** The steps of the selected and the compared runs together; null where there are none. */
  readonly allSteps = distinct(
    () => this.#stepsOfRuns(),
    (range) => (range ? `${range.from} ${range.to}` : ""),
  );
  readonly viewport = new StepViewport(this.allSteps, this.scale);
  readonly grids = new HeatmapGrids(this.run, this.allSteps, this.viewport);
  readonly runCurves = new RunCurves(
    this.grids.norms,
    computed(() => this.detail.value.value?.tensors),
  );
  /** The selected and the compared runs, as far as they are loaded. */
  readonly loadedRuns = computed((): RunTensors[] => {
    const detail = this.detail.value.value;
    const selected = new Map(detail?.tensors.map((tensor) => [tensor.id, tensor]));
    const all = this.comparisons.runs.value.map(({ run, tensors }) => ({
      ...{ run, tensors: tensors.value },
    }));
    if (detail) all.unshift({ run: detail.run, tensors: selected });
    return all.filter(({ tensors }) => tensors.size > 0);
  });
  /** The rows are those of all shown runs. */
  readonly rows = new Rows(
    computed(() =>
      unitedTensors(this.detail.value.value?.tensors ?? NONE, this.loadedRuns.value.slice(1)),
    ),
    computed(() => this.findings.value.value?.findings ?? NONE),
    this.grids.overview.value,
  );
  /** The selected tensor, as the run of the cell has it. */
  readonly selectedTensor = computed(() => {
    const run = this.cellRun.value ?? this.detail.value.value?.run;
    const shown = this.loadedRuns.value.find((one) => one.run === run);
    return shown?.tensors.get(this.selection.value?.tensor ?? "");
  });
  /** First and last step of the selected column. */
  readonly selectedSteps = signal<[number, number] | undefined>(undefined);

  /** The steps over which the selected tensor is summed up; null for none. */
  readonly selectedRange = signal<Steps | null>(null);

  readonly tensorDetail = new TensorDetail(
    computed(() => this.cellRun.value ?? this.run.value),
    this.selectedTensor,
    this.selectedSteps,
    this.allSteps,
    this.viewport,
    this.selectedRange,
  );

  /** Counts the reloads of TensorBoard. */
  readonly #generation = signal(0);
  readonly comparisons: Comparisons = new Comparisons(
    this.runs,
    this.grids,
    this.allSteps,
    this.viewport,
    this.#generation,
  );
  readonly layers = new LayerTable(
    this.run,
    computed(() => this.panelTab.value === "layers"),
    this.#generation,
  );
  /** The details were closed: nothing is selected automatically in this run. */
  #isDismissed = false;
  readonly growth: Growth = new Growth(this.runs, this.run, this.comparisons.names);
  /** Words that the listed runs have, and their order. */
  readonly runFilter = signal("");
  readonly runOrder = signal<RunOrder>("trouble");
  readonly preferences = new Preferences();

  start(): void {
    const choices = choicesFromUrl(readUrlState());
    applyChoices(this, choices);
    watchDarkMode((dark) => {
      this.dark.value = dark;
    });
    connectHost(whenShown(() => this.reload()));
    this.preferences.start();
    this.runs.start();
    effect(() => this.#openWorstRun());
    this.growth.start(() => untracked(() => this.#refresh()));
    effect(() => this.#loadRun());
    effect(() => {
      if (this.runs.value.value?.length === 0) void this.logDirectory.load(fetchLogDirectory);
    });
    this.grids.start();
    this.runCurves.start();
    this.comparisons.start();
    effect(() => this.#followColumns());
    this.tensorDetail.start();
    this.layers.start();
    effect(() => this.#selectOrigin());
    effect(() => {
      const state = urlStateOf(this);
      const timer = setTimeout(() => writeUrlState(state), URL_DELAY_MS);
      return () => clearTimeout(timer);
    });
    onNavigation((state) => this.#navigate(choicesFromUrl(state)));
    void this.runs.reload();
  }

  /** Back or Forward led to another run: it is shown as it was left. */
  #navigate({ run, selection, range, tab }: Partial<Choices>): void {
    if (run === undefined || run === this.run.value) return;
    batch(() => {
      this.selectRun(run);
      if (selection) this.selection.value = selection;
      this.viewport.chosen.value = range ?? null;
      this.chosenTab.value = tab ?? null;
    });
  }

  /** The data may have changed: all of it is loaded again, what is selected stays. */
  reload(): void {
    this.#refresh();
    void this.runs.reload();
  }

  #refresh(): void {
    this.tensorDetail.reload();
    this.#generation.value++;
    this.grids.reload();
    for (const { grids } of this.comparisons.runs.value) grids.reload();
  }

  /** A link to the page as it is. */
  address(): string {
    return addressWith(urlStateOf(this));
  }

  selectRun(run: string): void {
    if (run === this.run.value) return;
    this.#isDismissed = false;
    batch(() => {
      this.run.value = run;
      this.selection.value = null;
      this.selectedRange.value = null;
      this.openFinding.value = -1;
      this.chosenTab.value = null;
      this.comparisons.remove(run);
      this.viewport.reset();
      for (const resource of [this.detail, this.findings, this.grids, this.tensorDetail]) {
        resource.clear();
      }
    });
  }

  /** Selects a cell, of a run that has the tensor, and shows its details. */
  select(selection: Selection | null, compared?: ComparedRun): void {
    batch(() => {
      this.#select(selection, compared);
      if (selection) this.chosenTab.value = "tensor";
    });
  }

  #select(selection: Selection | null, compared?: ComparedRun): void {
    this.#isDismissed = selection === null;
    this.selection.value = selection;
    const having = this.loadedRuns.value.filter(
      ({ tensors }) => selection && tensors.has(selection.tensor),
    );
    const shown = having.find(({ run }) => run === (compared ?? this.detail.value.value)?.run);
    const run = (shown ?? having[0])?.run ?? null;
    this.cellRun.value = run === this.run.value ? null : run;
  }

  selectRange(range: Steps | null): void {
    batch(() => {
      this.selectedRange.value = range;
      if (range) this.chosenTab.value = "tensor";
    });
  }

  /** Selects a tensor at the selected step, or else at its first NaN or Inf. */
  selectTensor({ id, first_nonfinite_step }: Tensor, compared?: ComparedRun): void {
    const last = Math.ceil(this.viewport.range.value?.to ?? 1) - 1;
    const step = this.selection.value?.step ?? first_nonfinite_step ?? last;
    this.select({ tensor: id, step }, compared);
  }

  /** Selects a tensor as `selectTensor` does, and makes its row visible. */
  showTensor(tensor: Tensor): void {
    batch(() => {
      this.rows.reveal(tensor.id);
      this.selectTensor(tensor);
      this.revealed.value++;
    });
  }

  /** Goes from one axis to the next that the run has. */
  nextAxis(): void {
    const names = AXES.map(({ name }) => name).filter(
      (name) => name !== "wall" || this.detail.value.value?.times,
    );
    const next = names[(names.indexOf(this.scale.value.name) + 1) % names.length];
    if (next) this.axis.value = next;
  }

  addCompared(run: string): void {
    this.comparisons.add(run);
    this.cellRun.value = null;
  }

  removeCompared(run: string): void {
    this.comparisons.remove(run);
    this.cellRun.value = null;
  }

  /** Opens a finding, selects its origin and scrolls to it. */
  chooseFinding(index: number): void {
    const finding = this.findings.value.value?.findings[index];
    if (!finding) return;
    batch(() => {
      this.openFinding.value = index;
      this.chosenTab.value = "why";
      this.jumpToOrigin();
      if (this.origin.value) return;
      this.#selectPlace(finding.origin, finding.step);
      this.viewport.goTo(finding.step);
    });
  }

  /** Jumps to where a finding began, and leaves the panel as it is. */
  jumpToFinding(index: number): void {
    const tab = this.chosenTab.peek();
    batch(() => {
      this.chooseFinding(index);
      this.chosenTab.value = tab;
    });
  }

  nextFinding(direction: 1 | -1): void {
    const count = this.findings.value.value?.findings.length ?? 0;
    if (count > 0) this.chooseFinding((this.openFinding.value + direction + count) % count);
  }

  /** Selects a tensor at a step, and scrolls to it. */
  goToPlace(place: AffectedPlace | FirstDifference): void {
    batch(() => {
      if (this.#selectPlace(place, place.step)) this.viewport.goTo(place.step);
    });
  }

  /** Goes to another tensor at the selected step. */
  goToTensor(tensor: string): void {
    const selection = this.selection.value;
    if (selection) this.#reveal(tensor, selection.step);
  }

  openHelp(): void {
    this.helpShown.value = true;
  }

  showDetails(): void {
    this.chosenTab.value = "tensor";
  }

  /** Shows the rows of one layer alone. */
  showLayer(path: string | null): void {
    batch(() => {
      this.rows.showAll();
      this.rows.layer.value = path;
    });
  }

  jumpToOrigin(): void {
    const origin = this.origin.value;
    if (!origin) return;
    batch(() => {
      this.#reveal(origin.tensor.id, origin.step);
      this.viewport.goTo(origin.step);
    });
  }

  #stepsOfRuns(): Range | null {
    // Until its times are known there is no axis to ask for.
    if (this.axis.value === "wall" && !this.detail.value.value) return null;
    const selected = this.detail.value.value ?? this.runs.find(this.run.value);
    const others = this.comparisons.names.value.map((name) => this.runs.find(name));
    const ranges = [selected, ...others].flatMap((one) =>
      !one || one.first_step === null || one.last_step === null
        ? []
        : { from: one.first_step, to: one.last_step + 1 },
    );
    if (ranges.length === 0) return null;
    return {
      from: Math.min(...ranges.map(({ from }) => from)),
      to: Math.max(...ranges.map(({ to }) => to)),
    };
  }

  #selectPlace(place: FindingPlace, step: number): boolean {
    const tensor = tensorOf(place, this.detail.value.value?.tensors ?? []);
    if (!tensor) return false;
    this.#reveal(tensor.id, step);
    return true;
  }

  #reveal(tensor: string, step: number): void {
    batch(() => {
      this.rows.reveal(tensor);
      this.#select({ tensor, step });
      this.revealed.value++;
    });
  }

  /** Opens the run with the earliest trouble. A run that is open stays, whatever becomes known. */
  #openWorstRun(): void {
    const runs = this.runs.value.value;
    const opened = this.run.peek();
    if (!runs || runs.length === 0 || this.runs.isEarly || runs.some(({ run }) => run === opened))
      return;
    // The later runs of a directory are listed once it is read; all runs after a restart.
    if (opened !== null && isAnyPending(runs)) return;
    const worst = runToOpen(runs);
    if (worst) untracked(() => this.selectRun(worst.run));
  }

  #loadRun(): void {
    this.#generation.value;
    const run = this.run.value;
    if (run === null) return;
    void this.detail.load((signal) => fetchRun(run, signal));
    void this.findings.load((signal) => fetchFindings(run, signal));
  }

  /** The selected column stays as it is while one pans away, and changes with the columns' width. */
  #followColumns(): void {
    const selection = this.selection.value;
    const layers = this.grids.layers.value;
    const grid = selection && this.grids.gridAt(selection.step);
    const known = this.selectedSteps.peek();
    const contains = selection && known && known[0] <= selection.step && selection.step <= known[1];
    if (!grid) {
      if (!contains) this.selectedSteps.value = undefined;
      return;
    }
    if (contains && layers.length > 1 && grid === layers[0]) return;
    const timeline = { edges: grid.edges, columns: grid.edges.length - 1 };
    const [first, last] = stepsOfColumn(timeline, columnOfStep(timeline, selection.step));
    if (known?.[0] !== first || known[1] !== last) this.selectedSteps.value = [first, last];
  }

  /** Selects the origin of the first finding, unless something else is selected. */
  #selectOrigin(): void {
    const detail = this.detail.value.value;
    const answer = this.findings.value.value;
    if (!detail || !answer) return;
    if (this.openFinding.peek() < 0) this.openFinding.value = primaryFinding(answer.findings);
    // An old address may name a tensor that is no longer there.
    const isSelected = this.selection.value !== null && this.selectedTensor.value !== undefined;
    if (isSelected || this.#isDismissed) return;
    const origin = this.origin.value;
    if (origin) this.#reveal(origin.tensor.id, origin.step);
  }
}
