/** The grids behind the heatmap: one of the whole run, and a finer one of what is in sight. */

import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { gridCache } from "../api/answer_cache";
import { type GridQuery, MOST_COLUMNS } from "../api/routes";
import { CURVE_ROLES } from "../model/curves";
import { magnitudeOf } from "../model/magnitude";
import { cutFor, isAsFine, isWhole, lengthOf, panned, type Range } from "../model/range";
import { columnOfStep } from "../model/timeline";
import type { Grid } from "../wire/grid";
import type { StatisticName } from "../wire/schema";
import { Resource } from "./resource";
import type { StepViewport } from "./viewport";

/** While one zooms, what passes by is not asked for. */
const REST_MS = 60;
const PREFETCH_MS = 350;

export class HeatmapGrids {
  /** The whole run: the scale of the colors, and what is shown where nothing finer is known. */
  readonly overview = new Resource<Grid>();
  /** What is in sight, and some beyond; nothing where the overview is as fine. */
  readonly close = new Resource<Grid>();
  readonly statistic: Signal<StatisticName>;
  /** The most columns that the screen has room for; 0 before it is known. */
  readonly columns: Signal<number>;

  /** From the coarsest to the finest, of one run and statistic. */
  readonly layers = computed((): Grid[] => {
    const overview = this.overview.value.value;
    const close = this.close.value.value;
    if (!overview) return [];
    const fits = close && close.statistic === overview.statistic && close.run === overview.run;
    return fits ? [overview, close] : [overview];
  });
  readonly magnitude = computed(() => {
    const grid = this.overview.value.value;
    return grid && magnitudeOf(grid.value, grid.scale);
  });
  /** Norms of what is in sight, for the curves; those of the heatmap where it shows norms. */
  readonly norms = computed((): Grid | undefined => {
    const range = this.viewport.range.value;
    const [overview] = this.layers.value;
    if (overview?.statistic !== "norm" || !range) return this.#curves.value.value;
    const covers = ({ edges }: Grid) =>
      (edges[0] ?? 0) <= range.from && (edges.at(-1) ?? 0) >= range.to;
    return this.layers.value.findLast(covers) ?? overview;
  });
  readonly error = computed(() => this.overview.error.value ?? this.close.error.value);
  readonly loading = computed(() => this.overview.loading.value || this.close.loading.value);

  readonly #curves = new Resource<Grid>();
  readonly #cache = gridCache();
  readonly #generation = signal(0);

  constructor(
    readonly run: ReadonlySignal<string | null>,
    readonly whole: ReadonlySignal<Range | null>,
    readonly viewport: StepViewport,
    /** Another run's, that shows the same of itself. */
    readonly beside?: HeatmapGrids,
  ) {
    this.statistic = beside?.statistic ?? signal<StatisticName>("norm");
    this.columns = beside?.columns ?? signal(0);
  }

  /** Asks for what is in sight from now on; gives what ends that. */
  start(): () => void {
    const ends: (() => void)[] = [];
    const overview = this.#query(this.whole);
    const close = this.#query(this.viewport.range);
    ends.push(
      effect(() => {
        this.#generation.value;
        if (overview.value) void this.#load(this.overview, JSON.parse(overview.value) as GridQuery);
      }),
    );
    ends.push(
      effect(() => {
        this.#generation.value;
        const query = JSON.parse(close.value ?? "null") as GridQuery | null;
        const whole = JSON.parse(overview.value ?? "null") as GridQuery | null;
        if (!query || !whole || isAsFine(whole, query, this.viewport.scale.value)) {
          this.close.clear();
          return undefined;
        }
        const ask = () => void this.#load(this.close, query);
        if (this.#cache.peek(query)) {
          ask();
          return undefined;
        }
        const timer = setTimeout(ask, REST_MS);
        return () => clearTimeout(timer);
      }),
    );
    ends.push(effect(() => this.#prefetch()));
    const curves = computed(() => {
      const { range } = this.viewport;
      if (this.statistic.value === "norm" || !range.value) return null;
      const query = this.#queryFor(range.value);
      return query && JSON.stringify({ ...query, statistic: "norm", role: CURVE_ROLES });
    });
    ends.push(
      effect(() => {
        this.#generation.value;
        if (curves.value === null) return undefined;
        const query = JSON.parse(curves.value) as GridQuery;
        const timer = setTimeout(() => void this.#load(this.#curves, query), REST_MS);
        return () => clearTimeout(timer);
      }),
    );
    return () => {
      for (const end of ends) end();
      this.clear();
    };
  }

  /** The data has changed; what is in sight stays until the new answers come. */
  reload(): void {
    this.#cache.clear();
    this.#generation.value++;
  }

  clear(): void {
    this.overview.clear();
    this.close.clear();
    this.#curves.clear();
  }

  /** The finest grid that holds a step. */
  gridAt(step: number): Grid | undefined {
    return this.layers.value.findLast(
      ({ edges }) => columnOfStep({ edges, columns: edges.length - 1 }, step) >= 0,
    );
  }

  /** What is to be asked for a range, as text: a signal changes only where its value does. */
  #query(range: ReadonlySignal<Range | null>): ReadonlySignal<string | null> {
    return computed(() => {
      const query = range.value && this.#queryFor(range.value);
      return query ? JSON.stringify(query) : null;
    });
  }

  #queryFor(range: Range): GridQuery | null {
    const [run, whole, columns] = [this.run.value, this.whole.value, this.columns.value];
    if (run === null || !whole || columns === 0) return null;
    const scale = this.viewport.scale.value;
    const cut = cutFor(range, whole, columns, MOST_COLUMNS, scale);
    // The times on the axis are the chosen run's, and another one may have none.
    const axis = this.beside && scale.name === "wall" ? "step" : scale.name;
    return { run, statistic: this.statistic.value, axis, ...cut };
  }

  #load(resource: Resource<Grid>, query: GridQuery): Promise<void> {
    const end = this.whole.peek()?.to;
    return resource.load(async (signal) => trimmed(await this.#cache.get(query, signal), end));
  }

  /** What lies to both sides of what is in sight, once one has come to rest there. */
  #prefetch(): (() => void) | undefined {
    const [range, whole] = [this.viewport.range.value, this.whole.value];
    if (!range || !whole || isWhole(range, whole) || !this.close.value.value) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      const scale = this.viewport.scale.value;
      for (const side of [1, -1]) {
        const aside = panned(range, side * lengthOf(range, scale), whole, scale);
        const query = this.#queryFor(aside);
        // Nobody waits for it: why it failed is told where it is needed.
        if (query) this.#cache.get(query, controller.signal).catch(() => undefined);
      }
    }, PREFETCH_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }
}

/** The last column ends where the run does. */
function trimmed(grid: Grid, end: number | undefined): Grid {
  const { edges } = grid;
  const last = edges.length - 1;
  if (end === undefined || last < 1 || (edges[last] as number) <= end) return grid;
  return {
    ...grid,
    edges: [...edges.slice(0, last), Math.max(end, (edges[last - 1] as number) + 1)],
  };
}
