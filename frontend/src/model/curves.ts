/** The curves of the whole run above the heatmap, from a grid of norms. */

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
  description: string;
  /** Of the columns, as of a grid. */
  edges: readonly number[];
  /** Decimal logarithm in each column; NaN where nothing was recorded, -Infinity for zero. */
  values: Float32Array;
  /** Columns with a NaN or Inf. */
  nonfinite: Uint8Array;
  /** Columns with a step that loss scaling skipped. */
  skipped: Uint8Array;
}

/** The roles that the curves are computed from. */
export const CURVE_ROLES = ["loss", "gradient", "update", "weight"] as const;

/** A placeholder until norms arrive. */
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
 * The curves of a run, of the first of several workers. Which curves there are depends on
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
  const add = (name: RunCurve["name"], label: string, description: string, norms: Norms) => {
    curves.push({ name, label, description, edges: grid.edges, ...norms });
  };
  const [loss] = ofRole("loss");
  if (loss) {
    add("loss", "Loss", "Max abs of the loss in each column", yield* normOf(grid, [loss]));
  }
  const gradients = ofRole("gradient");
  if (gradients.length > 0) {
    const description = "Global norm: the root of the sum of the squared norms of all gradients";
    add("gradient", "Gradient norm", description, yield* normOf(grid, gradients));
  }
  const updates = ofRole("update");
  if (updates.length > 0) {
    const names = new Set(updates.map(({ name }) => name));
    const updateNorms = yield* normOf(grid, updates);
    const weightNorms = yield* normOf(
      grid,
      ofRole("weight").filter(({ name }) => names.has(name)),
    );
    const values = updateNorms.values.map(
      (value, column) => value - (weightNorms.values[column] as number),
    );
    add("ratio", "Update ratio", "Norm of the weight updates relative to the norm of the weights", {
      ...updateNorms,
      values,
    });
  }
  const { loss_scale: scales } = grid;
  if (scales) {
    const none = new Uint8Array(scales.length);
    add("scale", "Loss scale", "Smallest loss scale in each column", {
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
  // Relative to the largest one, so that the square of 1e200 does not overflow.
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

/** The value of a column as text: "0.25", "–" where nothing was recorded. */
export function formatCurveValue(values: Float32Array, column: number): string {
  const value = values[column];
  if (value === undefined || Number.isNaN(value)) return "–";
  return formatNumber(value === Number.NEGATIVE_INFINITY ? 0 : 10 ** value);
}
