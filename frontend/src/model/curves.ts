/** What is drawn above the heatmap: the run as a whole over time, from a grid of norms. */

import { scaleLinear } from "d3-scale";
import type { Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";
import { gridRow } from "./cells";
import { legendTicks } from "./magnitude";
import { NONFINITE, SCALE_SKIPPED } from "./marks";
import { formatNumber, formatShortPercent } from "./numbers";

/** A line over the columns of a grid. */
export interface RunCurve {
  name: "loss" | "gradient" | "ratio" | "scale";
  label: string;
  meaning: string;
  /** Of the columns, as of a grid. */
  edges: readonly number[];
  /** Decimal logarithm in each column; NaN where nothing was recorded, -Infinity for zero. */
  values: Float32Array;
  /** Columns in which something of it was not finite. */
  nonfinite: Uint8Array;
  /** Columns in which a step was refused by loss scaling. */
  skipped: Uint8Array;
}

/** Roles that the curves are made of. */
export const CURVE_ROLES = ["loss", "gradient", "update", "weight"] as const;

/** Of which nothing is known yet. */
export const NO_NORMS: Grid = {
  ...{ run: "", statistic: "norm", scale: "log10", rows: [], edges: [] },
  value: new Float32Array(),
  flags: new Uint8Array(),
};

/** The curves all at once. */
export function runCurves(grid: Grid, tensors: readonly Tensor[]): RunCurve[] {
  const work = curvesInSlices(grid, tensors);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * The curves that a run's tensors give; of several workers the first one's. Which ones, depends on
 * the tensors alone: so their place is known before their values are. It stops every few
 * thousand cells, so that no frame has to wait for millions of them.
 */
export function* curvesInSlices(
  grid: Grid,
  tensors: readonly Tensor[],
): Generator<void, RunCurve[]> {
  const worker = tensors[0]?.worker;
  const ofRole = (role: string) =>
    tensors.filter((tensor) => tensor.role === role && tensor.worker === worker);
  const curves: RunCurve[] = [];
  const add = (name: RunCurve["name"], label: string, meaning: string, norms: Norms) => {
    curves.push({ name, label, meaning, edges: grid.edges, ...norms });
  };
  const [loss] = ofRole("loss");
  if (loss) {
    add("loss", "Loss", "Largest magnitude of the loss in a column.", yield* normOf(grid, [loss]));
  }
  const gradients = ofRole("gradient");
  if (gradients.length > 0) {
    const meaning =
      "Norm of all gradients together: the root of the sum of their squared largest norms.";
    add("gradient", "Gradient norm", meaning, yield* normOf(grid, gradients));
  }
  const updates = ofRole("update");
  if (updates.length > 0) {
    const names = new Set(updates.map(({ name }) => name));
    const moved = yield* normOf(grid, updates);
    const weights = yield* normOf(
      grid,
      ofRole("weight").filter(({ name }) => names.has(name)),
    );
    const values = moved.values.map((value, column) => value - (weights.values[column] as number));
    add("ratio", "Update ratio", "Norm of all updates over that of what they change.", {
      ...moved,
      values,
    });
  }
  const { loss_scale: scales } = grid;
  if (scales) {
    const none = new Uint8Array(scales.length);
    add("scale", "Loss scale", "Smallest factor that the loss was scaled by in a column.", {
      ...{ values: Float32Array.from(scales, Math.log10), nonfinite: none },
      skipped: curves.find(({ name }) => name === "gradient")?.skipped ?? none,
    });
  }
  return curves;
}

type Norms = Pick<RunCurve, "values" | "nonfinite" | "skipped">;

const LN_100 = Math.log(100);
/** Rows of a slice: some tenths of a millisecond. */
const SLICE = 16;

/** The joint norm of several tensors. */
function* normOf(grid: Grid, tensors: readonly Tensor[]): Generator<void, Norms> {
  const columns = Math.max(0, grid.edges.length - 1);
  const squares = new Float64Array(columns).fill(Number.NaN);
  const nonfinite = new Uint8Array(columns);
  const skipped = new Uint8Array(columns);
  // The largest one is taken out, lest the squares of 1e200 overflow.
  const strips = tensors.flatMap(({ id }) => gridRow(grid, id) ?? []);
  const largest = new Float32Array(columns).fill(Number.NEGATIVE_INFINITY);
  for (const [row, { value, flags }] of strips.entries()) {
    if (row % SLICE === SLICE - 1) yield;
    for (let column = 0; column < columns; column++) {
      const norm = value[column] as number;
      if (norm > (largest[column] as number)) largest[column] = norm;
      if ((flags[column] as number) & NONFINITE) nonfinite[column] = 1;
      if ((flags[column] as number) & SCALE_SKIPPED) skipped[column] = 1;
    }
  }
  for (const [row, { value }] of strips.entries()) {
    if (row % SLICE === SLICE - 1) yield;
    for (let column = 0; column < columns; column++) {
      const norm = value[column] as number;
      if (Number.isNaN(norm)) continue;
      const most = largest[column] as number;
      // Several times as fast as 10 ** x.
      const square = most === Number.NEGATIVE_INFINITY ? 0 : Math.exp(LN_100 * (norm - most));
      const known = squares[column] as number;
      squares[column] = Number.isNaN(known) ? square : known + square;
    }
  }
  const values = Float32Array.from(squares, (square, column) =>
    square === 0 ? Number.NEGATIVE_INFINITY : (largest[column] as number) + Math.log10(square) / 2,
  );
  return { values, nonfinite, skipped };
}

export interface ValueTick {
  value: number;
  text: string;
}

/** Ticks of a scale of decimal logarithms. */
export function logTicks(low: number, high: number): ValueTick[] {
  return legendTicks({ scale: "log10", low, high }).map(({ at, text }) => ({
    value: low + at * (high - low),
    text,
  }));
}

/** Ticks of a scale of decimal logarithms of counts, each one more than it is. */
export function countTicks(low: number, high: number): ValueTick[] {
  return legendTicks({ scale: "count", low, high }).map(({ at, text }) => ({
    value: low + at * (high - low),
    text,
  }));
}

export function shareTicks(low: number, high: number): ValueTick[] {
  return scaleLinear()
    .domain([low, high])
    .ticks(2)
    .map((value) => ({ value, text: formatShortPercent(value) }));
}

/** A logarithm's value in words: "0.25", "nothing recorded". */
export function formatCurveValue(values: Float32Array, column: number): string {
  const value = values[column];
  if (value === undefined || Number.isNaN(value)) return "–";
  return formatNumber(value === Number.NEGATIVE_INFINITY ? 0 : 10 ** value);
}
