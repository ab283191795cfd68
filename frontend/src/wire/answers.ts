/** The shapes of the server's JSON answers, named as they are on the wire (tb_nanwatch/http/http_api.md). */

import type { ColumnName, StatisticName } from "./schema";

/** A number as JSON can hold it; null where the value does not exist. */
export type WireNumber = number | "NaN" | "Infinity" | "-Infinity" | null;

/** What columns may be equally wide in. */
export type AxisName = "step" | "log" | "wall";

/** When steps began: each of `steps` at one of `seconds` since the epoch; both ascend. */
export interface Times {
  steps: readonly number[];
  seconds: readonly number[];
}

export type RunStatus = "nonfinite" | "unstable" | "healthy" | "empty";

export interface FirstNonfinite {
  step: number;
  tensor: string;
  role: string;
  layer: string;
  name: string;
  nan: number;
  pos_inf: number;
  neg_inf: number;
  /** The value was non-finite before the first step. */
  initial: boolean;
}

export interface RunSummary {
  run: string;
  status: RunStatus;
  first_step: number | null;
  last_step: number | null;
  tensors: number;
  records: { written: number; read: number };
  first_nonfinite: FirstNonfinite | null;
  nonfinite_tensors: number;
  scale_skipped_steps: number;
}

export interface Tensor {
  id: string;
  role: string;
  layer: string;
  name: string;
  /** -1 for a dimension that is not fixed; null where the rank is unknown. */
  shape: number[] | null;
  dtype: string;
  worker: string;
  description: string;
  first_nonfinite_step: number | null;
  last_nonfinite_step: number | null;
  nonfinite_steps: number;
  /** Its place in the flow of a step; a cell's tensor has none. */
  flow?: number;
}

export interface RunDetail {
  run: string;
  status: RunStatus;
  first_step: number | null;
  last_step: number | null;
  records: { written: number; read: number };
  first_nonfinite: FirstNonfinite | null;
  problems: string[];
  /** Null where the records do not tell. */
  times: Times | null;
  tensors: Tensor[];
}

export type Severity = "error" | "warning" | "info";

/** What goes into an operation or comes out of it, with the elements that matter. */
export interface Operand {
  name?: string;
  dtype?: string;
  shape?: number[];
  /** `value` is text, so that it is exact, and NaN too. */
  elements?: { index: number[]; value: string }[];
}

/** The operation that broke; keys are there where they are known. */
export interface Operation {
  type: string;
  pass?: string;
  layer?: string;
  /** What applied the update, where it is of one. */
  optimizer?: string;
  file?: string;
  line?: number;
  code?: string;
  function?: string;
  source?: { line: number; text: string }[];
  operands?: Operand[];
  result?: Operand;
}

/** What came of running the step again. */
export interface Rerun {
  reproduced: boolean;
  mode: string;
  note?: string;
}

/** Which tensor a finding speaks of; `tensor` is its name. */
export interface FindingPlace {
  role: string;
  layer: string;
  tensor: string;
  worker?: string;
  operation?: Operation;
  /** Rows of the batch. */
  examples?: number[];
}

export interface Finding {
  cause: string;
  severity: Severity;
  step: number;
  last_step: number;
  origin: FindingPlace;
  victims: (FindingPlace & { step: number })[];
  evidence: Record<string, WireNumber>;
  message: string;
  advice: string;
  rerun?: Rerun;
  /** Roles whose recording would give the exact reading. */
  turn_on?: string[];
}

/** The findings of a run, the most important first. */
export interface FindingsAnswer {
  run: string;
  status: RunStatus;
  first_step: number | null;
  last_step: number | null;
  findings: Finding[];
}

/** The first difference of two runs. */
export interface Parting {
  step: number;
  /** The last of the steps among which it is. */
  last_step: number;
  /** The runs differ before that step already. */
  initial: boolean;
  kind: "norm" | "nonfinite";
  role: string;
  layer: string;
  tensor: string;
  worker?: string;
  /** Of both runs: non-finite elements, or roots of the mean square. */
  values: [WireNumber, WireNumber];
  relative_difference: number;
  tensors: number;
}

export interface ComparisonAnswer {
  runs: [string, string];
  tolerance: number;
  first_step: number | null;
  last_step: number | null;
  norm_steps: number;
  tensors: number;
  only: [number, number];
  parting: Parting | null;
}

/** `count` elements x of this sign with 2**exponent <= |x| < 2**(exponent + 1). */
export type HistogramBin = [sign: number, exponent: number, count: number];

export interface CellAnswer {
  run: string;
  tensor: Tensor;
  /** What the merged records cover; null, like all below, where there is none. */
  first_step: number | null;
  last_step: number | null;
  records: number;
  columns: Record<ColumnName, WireNumber> | null;
  statistics: Record<StatisticName, WireNumber> | null;
  mean: WireNumber;
  rms: WireNumber;
  largest_magnitude: WireNumber;
  sampled_step: number | null;
  histogram: HistogramBin[] | null;
}

/** The number that JSON could not hold; NaN where there is none. */
export function numberFromWire(value: WireNumber | undefined): number {
  return value === null || value === undefined ? Number.NaN : Number(value);
}
