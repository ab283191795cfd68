/** The grids behind the heatmap: one of the whole run, and a finer one of the visible steps. */

import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { gridCache } from "../api/answer_cache";
import { queryText } from "../api/request";
import { type GridQuery, MOST_COLUMNS } from "../api/routes";
import { CURVE_ROLES } from "../model/curves";
import { magnitudeOf } from "../model/magnitude";
import { cutFor, isAsFine, isWhole, lengthOf, panned, type Range } from "../model/range";
import { columnOfStep } from "../model/timeline";
import type { Grid } from "../wire/grid";
import type { StatisticName } from "../wire/schema";
import { distinct } from "./distinct";
import { Resource } from "./resource";
import type { StepViewport } from "./viewport";

/** Steps that pass by during a zoom are not asked for. */
const REST_MS = 60;
const PREFETCH_MS = 350;

type QuerySignal = ReadonlySignal<GridQuery | null>;

export class HeatmapGrids {
  /** The whole run: it sets the color scale, and is shown where nothing finer is known. */
  readonly overview = new Resource<Grid>();
  /** The visible steps with a margin; empty where the overview is as fine. */
  readonly closeUp = new Resource<Grid>();
  readonly statistic: Signal<StatisticName>;
  /** The most columns that fit on the screen; 0 before it is known. */
  readonly columns: Signal<number>;

  /** From the coarsest to the finest, all of one run and statistic. */
  readonly layers = computed((): Grid[] => {
    const overview = this.overview.value.value;
    const closeUp = this.closeUp.value.value;
    if (!overview) return [];
    const fits = closeUp?.statistic === overview.statistic && closeUp.run === overview.run;
    return closeUp && fits ? [overview, closeUp] : [overview];
  });
  readonly magnitude = computed(() => {
    const grid = this.overview.value.value;
    return grid && magnitudeOf(grid.value, grid.scale);
  });
  /** Norms of the visible steps, for the curves; the heatmap's own where it shows norms. */
  readonly norms = computed((): Grid | undefined => {
    const range = this.viewport.range.value;
    const [overview] = this.layers.value;
    if (overview?.statistic !== "norm" || !range) return this.#curveNorms.value.value;
    const covers = ({ edges }: Grid) =>
      (edges[0] ?? 0) <= range.from && (edges.at(-1) ?? 0) >= range.to;
    return this.layers.value.findLast(covers) ?? overview;
  });
  readonly error = computed(() => this.overview.error.value ?? this.closeUp.error.value);
  readonly loading = computed(() => this.overview.loading.value || this.closeUp.loading.value);

  readonly #curveNorms = new Resource<Grid>();
  readonly #cache = gridCache();
  readonly #generation = signal(0);

  constructor(
    readonly run: ReadonlySignal<string | null>,
    readonly allSteps: ReadonlySignal<Range | null>,
    readonly viewport: StepViewport,
    /** The grids of the selected run, where these are a compared run's: they show the same. */
    readonly base?: HeatmapGrids,
  ) {
    this.statistic = base?.statistic ?? signal<StatisticName>("instability");
    this.columns = base?.columns ?? signal(0);
  }

  /** Loads the visible steps from now on; returns a function that stops it. */
  start(): () => void {
    const overview = this.#query(() => this.allSteps.value);
    const closeUp = this.#query(() => this.viewport.range.value);
    const ends = [
      effect(() => this.#loadOverview(overview)),
      effect(() => this.#loadCloseUp(closeUp, overview)),
      effect(() => this.#loadCurveNorms(closeUp)),
      effect(() => this.#prefetch()),
    ];
    return () => {
      for (const end of ends) end();
      this.clear();
    };
  }

  /** The data has changed; the known grids stay visible until the new answers come. */
  reload(): void {
    this.#cache.clear();
    this.#generation.value++;
  }

  clear(): void {
    this.overview.clear();
    this.closeUp.clear();
    this.#curveNorms.clear();
  }

  /** The finest grid that covers a step. */
  gridAt(step: number): Grid | undefined {
    return this.layers.value.findLast(
      ({ edges }) => columnOfStep({ edges, columns: edges.length - 1 }, step) >= 0,
    );
  }

  #loadOverview(overview: QuerySignal): void {
    this.#generation.value;
    if (overview.value) void this.#load(this.overview, overview.value);
  }

  #loadCloseUp(closeUp: QuerySignal, overview: QuerySignal): (() => void) | undefined {
    this.#generation.value;
    const [query, whole] = [closeUp.value, overview.value];
    if (!query || !whole || isAsFine(whole, query, this.viewport.scale.value)) {
      this.closeUp.clear();
      return undefined;
    }
    const load = () => void this.#load(this.closeUp, query);
    if (this.#cache.peek(query)) {
      load();
      return undefined;
    }
    return after(REST_MS, load);
  }

  #loadCurveNorms(closeUp: QuerySignal): (() => void) | undefined {
    this.#generation.value;
    const query = closeUp.value;
    if (!query || query.statistic === "norm") return undefined;
    const norms = { ...query, statistic: "norm", role: CURVE_ROLES };
    return after(REST_MS, () => void this.#load(this.#curveNorms, norms));
  }

  /** Loads both sides of the visible steps, once they have come to rest. */
  #prefetch(): (() => void) | undefined {
    const [range, whole] = [this.viewport.range.value, this.allSteps.value];
    if (!range || !whole || isWhole(range, whole) || !this.closeUp.value.value) return undefined;
    const controller = new AbortController();
    const stop = after(PREFETCH_MS, () => {
      const scale = this.viewport.scale.value;
      for (const side of [1, -1]) {
        const aside = panned(range, side * lengthOf(range, scale), whole, scale);
        const query = this.#queryFor(aside);
        // Nobody waits for it: an error is shown where the answer is needed.
        if (query) this.#cache.get(query, controller.signal).catch(() => undefined);
      }
    });
    return () => {
      stop();
      controller.abort();
    };
  }

  #query(rangeOf: () => Range | null): QuerySignal {
    return distinct(
      () => {
        const range = rangeOf();
        return range && this.#queryFor(range);
      },
      (query) => (query ? queryText({ ...query }) : ""),
    );
  }

  #queryFor(range: Range): GridQuery | null {
    const [run, whole, columns] = [this.run.value, this.allSteps.value, this.columns.value];
    if (run === null || !whole || columns === 0) return null;
    const scale = this.viewport.scale.value;
    const cut = cutFor(range, whole, columns, MOST_COLUMNS, scale);
    // The times on the axis are those of the selected run; a compared one may have none.
    const axis = this.base && scale.name === "wall" ? "step" : scale.name;
    return { run, statistic: this.statistic.value, axis, ...cut };
  }

  #load(resource: Resource<Grid>, query: GridQuery): Promise<void> {
    const end = this.allSteps.peek()?.to;
    return resource.load(async (signal) => trimmed(await this.#cache.get(query, signal), end));
  }
}

/** Calls `callback` later; returns a function that cancels it. */
function after(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, milliseconds);
  return () => clearTimeout(timer);
}

/** The grid with its last column ending where the run does. */
function trimmed(grid: Grid, end: number | undefined): Grid {
  const { edges } = grid;
  const last = edges.length - 1;
  if (end === undefined || last < 1 || (edges[last] as number) <= end) return grid;
  return {
    ...grid,
    edges: [...edges.slice(0, last), Math.max(end, (edges[last - 1] as number) + 1)],
  };
}
