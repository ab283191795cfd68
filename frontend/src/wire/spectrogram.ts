/** One tensor over time, from its bytes: exponent histograms and statistics in each column. */

import { Container } from "./container";
import { STATISTICS, type StatisticName } from "./schema";

interface Header {
  run: string;
  /** Its id. */
  tensor: string;
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. */
  edges: number[];
  /** Binary exponent of the first bin. */
  first_exponent: number;
}

export interface Spectrogram extends Header {
  /** Bins of each column. */
  bins: number;
  /** [columns, bins]: elements by binary exponent, of either sign, in the sampled steps. */
  counts: Float32Array;
  /** In the same steps, [columns]. */
  sampled_elements: Float64Array;
  zero: Float64Array;
  subnormal: Float64Array;
  /** [columns], as a grid has them; NaN where nothing was recorded. */
  statistics: Record<StatisticName, Float32Array>;
  flags: Uint8Array;
}

export function decodeSpectrogram(buffer: ArrayBuffer): Spectrogram {
  const container = new Container<Header>(buffer, ["edges"]);
  const { run, tensor, edges, first_exponent } = container.header;
  const columns = Math.max(0, edges.length - 1);
  const bins = container.shapeOf("counts")[1] ?? 0;
  const statistics = Object.fromEntries(
    STATISTICS.map(({ name }) => [name, container.array(name, "float32", [columns])]),
  ) as Spectrogram["statistics"];
  return {
    ...{ run, tensor, edges, first_exponent, bins, statistics },
    counts: container.array("counts", "float32", [columns, bins]),
    sampled_elements: container.array("sampled_elements", "float64", [columns]),
    zero: container.array("zero", "float64", [columns]),
    subnormal: container.array("subnormal", "float64", [columns]),
    flags: container.array("flags", "uint8", [columns]),
  };
}
