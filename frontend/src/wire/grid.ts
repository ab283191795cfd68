/** The heatmap's cells, from their bytes. */

import { Container } from "./container";
import type { Scale, StatisticName } from "./schema";

export { GridFormatError } from "./container";

/** The cells of a run: row-major, one row per tensor, one column per range of steps. */
export interface Grid {
  run: string;
  statistic: StatisticName;
  scale: Scale;
  /** Tensor ids, in model order. */
  rows: string[];
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. */
  edges: number[];
  /** NaN where nothing was recorded. */
  value: Float32Array;
  flags: Uint8Array;
  /** The smallest loss scale of each column, NaN where none is known; not there without one. */
  loss_scale?: Float64Array;
}

export function decodeGrid(buffer: ArrayBuffer): Grid {
  const container = new Container<Omit<Grid, "value" | "flags">>(buffer, ["rows", "edges"]);
  const { run, statistic, scale, rows, edges } = container.header;
  const shape = [rows.length, Math.max(0, edges.length - 1)];
  return {
    ...{ run, statistic, scale, rows, edges },
    value: container.array("value", "float32", shape),
    flags: container.array("flags", "uint8", shape),
    ...(container.has("loss_scale") && {
      loss_scale: container.array("loss_scale", "float64", shape.slice(1)),
    }),
  };
}
