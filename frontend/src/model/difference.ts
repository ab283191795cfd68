/** The difference of two runs, cell by cell: the second run's value minus the first one's. */

import { bisectRight } from "d3-array";
import type { Grid } from "../wire/grid";
import { gridRow, type Strip } from "./cells";
import type { Magnitude } from "./magnitude";
import { RECORDED } from "./marks";
import { visibleColumns } from "./timeline";

/** A grid whose values may be negative: those farthest from zero matter most. */
export interface Difference extends Grid {
  signed: true;
}

/** An infinite factor: one run has only zeros. */
const ALL = 1e30;
/** More decades than these look alike, so that one explosion does not hide everything else. */
const MOST_DECADES = 3;
const FEWEST = 0.1;

/**
 * The difference in the columns of `base`, in the unit that is drawn linearly: decades, or shares.
 * Of the tensors that both have, a cell where both are recorded; NaN and infinities of either are kept.
 */
export function differenceOf(base: Grid, other: Grid): Difference {
  const ofBase = known.get(base) ?? new WeakMap<Grid, Difference>();
  known.set(base, ofBase);
  const difference = ofBase.get(other) ?? differing(base, other);
  ofBase.set(other, difference);
  return difference;
}

// One of two layers stays while the other one changes.
const known = new WeakMap<Grid, WeakMap<Grid, Difference>>();

function differing(base: Grid, other: Grid): Difference {
  const columns = Math.max(0, base.edges.length - 1);
  const rows = base.rows.filter((id) => gridRow(other, id));
  const value = new Float32Array(rows.length * columns).fill(Number.NaN);
  const flags = new Uint8Array(value.length);
  const begins = new Int32Array(columns);
  const ends = new Int32Array(columns);
  for (let column = 0; column < columns; column++) {
    [begins[column], ends[column]] = overlapped(base, other, column);
  }
  const isCount = base.scale === "count";
  const isDecades = base.scale === "decades";
  // Millions of cells during a pan: few calls in the loop.
  rows.forEach((id, row) => {
    const ours = gridRow(base, id) as Strip;
    const theirs = gridRow(other, id) as Strip;
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const own = ours.flags[column] as number;
      let seen = 0;
      let most = Number.NaN;
      const end = ends[column] as number;
      for (let index = begins[column] as number; index < end; index++) {
        seen |= theirs.flags[index] as number;
        const candidate = theirs.value[index] as number;
        const isMore =
          isDecades && Number.isFinite(candidate) && Number.isFinite(most)
            ? Math.abs(candidate) > Math.abs(most)
            : candidate > most;
        if (isMore || Number.isNaN(most)) most = candidate;
      }
      flags[at] = own & seen & RECORDED ? own | seen : 0;
      const mine = ours.value[column] as number;
      value[at] = isCount
        ? difference(Math.log10(1 + mine), Math.log10(1 + most))
        : difference(mine, most);
    }
  });
  return { ...base, rows, value, flags, signed: true };
}

/** For each layer of one run its difference to the finest of the other that covers it. */
export function differencesOf(layers: readonly Grid[], others: readonly Grid[]): Difference[] {
  const [overview] = others;
  if (!overview) return [];
  return layers
    .filter(({ statistic }) => statistic === overview.statistic)
    .map((grid) => {
      const [from, to] = [grid.edges[0] ?? 0, grid.edges.at(-1) ?? 0];
      const covers = ({ edges }: Grid) => (edges[0] ?? 0) <= from && (edges.at(-1) ?? 0) >= to;
      return differenceOf(grid, others.findLast(covers) ?? overview);
    });
}

/** A scale that is symmetric about zero, so that its middle means "the same". */
export function signedMagnitude({ value, scale }: Grid): Magnitude {
  let most = FEWEST;
  for (const one of value) {
    const size = Math.abs(one);
    if (size < ALL && size > most) most = size;
  }
  const high = scale === "share" ? Math.min(1, most) : Math.min(MOST_DECADES, Math.ceil(most));
  return { scale, low: -high, high, signed: true };
}

function difference(ours: number, theirs: number): number {
  if (ours === theirs) return 0; // Also where both are zero, whose logarithm is -Infinity.
  return Math.min(ALL, Math.max(-ALL, theirs - ours));
}

/** The columns of `other` that overlap a column: from the first to before the second. */
function overlapped(base: Grid, { edges }: Grid, column: number): [number, number] {
  const [from, to] = [base.edges[column] as number, base.edges[column + 1] as number];
  if (edges.length < 2 || to <= (edges[0] as number)) return [0, 0];
  const columns = edges.length - 1;
  if (bisectRight(edges, from) > columns) return [0, 0];
  return visibleColumns({ edges, columns, from, to });
}
