/** A grid's cells by line: one tensor's, or several as one. */

import type { Grid } from "../wire/grid";
import { columnOfStep } from "./timeline";

/** The cells of one line, one per column. */
export interface Strip {
  /** NaN where nothing was recorded. */
  value: Float32Array;
  flags: Uint8Array;
}

/** The logarithm of zero. */
const NOTHING = Number.NEGATIVE_INFINITY;

export interface GridCell {
  value: number;
  flags: number;
}

interface Known {
  rowOf: Map<string, number>;
  merged: WeakMap<object, Strip>;
}

// A frame asks for the same strips as the frame before it.
const known = new WeakMap<Grid, Known>();

function knownOf(grid: Grid): Known {
  let entry = known.get(grid);
  if (!entry) {
    entry = { rowOf: new Map(grid.rows.map((id, row) => [id, row])), merged: new WeakMap() };
    known.set(grid, entry);
  }
  return entry;
}

/** A tensor's cells; undefined where it was first seen after this grid was asked for. */
export function gridRow(grid: Grid, tensor: string): Strip | undefined {
  const row = knownOf(grid).rowOf.get(tensor);
  if (row === undefined) return undefined;
  const columns = Math.max(0, grid.edges.length - 1);
  const [from, to] = [row * columns, (row + 1) * columns];
  return { value: grid.value.subarray(from, to), flags: grid.flags.subarray(from, to) };
}

/** Several tensors as one line, computed once for each list of them. */
export function mergedRow(grid: Grid, tensors: readonly { id: string }[]): Strip {
  const { merged } = knownOf(grid);
  let strip = merged.get(tensors);
  if (!strip) {
    strip = mergedStrip(
      tensors.flatMap(({ id }) => gridRow(grid, id) ?? []),
      Math.max(0, grid.edges.length - 1),
      "signed" in grid || grid.scale === "decades",
    );
    merged.set(tensors, strip);
  }
  return strip;
}

/**
 * Several lines as one: the largest value of each column, or of `signed` ones the farthest from
 * zero, where a norm of 0 (-Infinity) is the least; and every flag. Thousands of lines are merged during a pan: no call in the loop.
 */
export function mergedStrip(strips: readonly Strip[], columns: number, signed = false): Strip {
  const value = new Float32Array(columns).fill(Number.NaN);
  const flags = new Uint8Array(columns);
  for (const strip of strips) {
    const { value: values, flags: more } = strip;
    for (let column = 0; column < columns; column++) {
      const candidate = values[column] as number;
      const largest = value[column] as number;
      const isLarger =
        signed && candidate !== NOTHING && largest !== NOTHING
          ? Math.abs(candidate) > Math.abs(largest)
          : candidate > largest;
      if (isLarger || Number.isNaN(largest)) value[column] = candidate;
      flags[column] = (flags[column] as number) | (more[column] as number);
    }
  }
  return { value, flags };
}

/** The cell of a tensor at a step; undefined where the grid does not contain it. */
export function gridCell(grid: Grid, tensor: string, step: number): GridCell | undefined {
  const strip = gridRow(grid, tensor);
  const column = columnOfStep({ edges: grid.edges, columns: grid.edges.length - 1 }, step);
  if (!strip || column < 0) return undefined;
  return { value: strip.value[column] as number, flags: strip.flags[column] as number };
}
