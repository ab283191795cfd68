/** The shapes of the server's JSON answers, named as they are on the wire (tb_nanwatch/http/http_api.md). */

import type { ColumnName, RunStatus, Severity, StatisticName } from "./schema";

/** A number in JSON, which has no NaN and Inf; null where the value does not exist. */
export type WireNumber = number | "NaN" | "Infinity" | "-Infinity" | null;

/** The horizontal axis on which a grid's columns have equal widths. */
export type AxisName = "step" | "log" | "wall";

/** When steps began: each of `steps` at one of `seconds` since the epoch; both ascend. */
export interface Times {
  steps: readonly number[];
  seconds: readonly number[];
}

export interface RecordCounts {
  written: number;
  /** Fewer than written where TensorBoard dropped records or a file is damaged. */
  read: number;
}

export interface RunSummary {
  run: string;
  /** `pending` until the run has been diagnosed. */
  status: RunStatus;
  /** The diagnosis in one line, code between backticks; "" while it is pending. */
  headline: string;
  /** Seconds since the epoch; null where it is not known. */
  began: number | null;
  first_step: number | null;
  last_step: number | null;
  tensors: number;
  records: RecordCounts;
  nonfinite_tensors: number;
  scale_skipped_steps: number;
  /** Seconds since the epoch; changes whenever the run grows. */
  last_written: number | null;
  /** The most important finding; null for none, and while the run is pending. */
  finding: Pick<Finding, "cause" | "severity" | "step" | "headline"> | null;
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
  /** Its rank in the order of execution within a step; the tensor of a cell has none. */
  flow?: number;
  /** Ids of the tensors directly upstream in the recorded call graph; empty where it is unknown. */
  inputs?: readonly string[];
}

export interface RunDetail {
  run: string;
  began: number | null;
  first_step: number | null;
  last_step: number | null;
  records: RecordCounts;
  problems: string[];
  /** Null where fewer than two records have a time. */
  times: Times | null;
  /** Of the framework, as text; "" where they are not known. */
  versions: string;
  tensors: Tensor[];
}

/** An input or the result of an operation, with the elements that matter. */
export interface Operand {
  name?: string;
  dtype?: string;
  shape?: number[];
  /** `value` is text, so that it is exact, NaN included. */
  elements?: { index: number[]; value: string }[];
}

/** The operation that produced the first NaN or Inf; keys are present where they are known. */
export interface Operation {
  type: string;
  pass?: string;
  layer?: string;
  /** The optimizer whose update ran it. */
  optimizer?: string;
  file?: string;
  line?: number;
  code?: string;
  function?: string;
  source?: { line: number; text: string }[];
  operands?: Operand[];
  result?: Operand;
}

/** The result of running the failing step again. */
export interface Rerun {
  reproduced: boolean;
  mode: string;
  note?: string;
}

/** A remedy that was tried on the failing step; `text` is the rendered sentence. */
export interface Trial {
  remedy: string;
  code: string;
  outcome: "finite" | "nonfinite" | "failed";
  text: string;
}

/** Which tensor a finding is about; `tensor` is its name. */
export interface FindingPlace {
  role: string;
  layer: string;
  tensor: string;
  worker?: string;
  operation?: Operation;
  /** Rows of the batch. */
  examples?: number[];
}

/** A tensor that a NaN or Inf spread to, and the step at which it arrived. */
export type AffectedPlace = FindingPlace & { step: number };

/** Headline, message and advice are complete texts, code between backticks: show them as they are. */
export interface Finding {
  cause: string;
  severity: Severity;
  step: number;
  last_step: number;
  origin: FindingPlace;
  affected: AffectedPlace[];
  evidence: Record<string, WireNumber>;
  headline: string;
  message: string;
  advice: string;
  /** Code to copy, maybe of several lines; "" for none. */
  fix_code: string;
  /** The page about the cause, relative to docs/: `findings.md#<cause>`. */
  help: string;
  rerun?: Rerun;
  /** Remedies, in the order in which they were tried on the step. */
  tried?: Trial[];
  /** Roles whose recording would pinpoint the origin. */
  record_also?: string[];
}

/** The findings of a run, the most important first. */
export interface FindingsAnswer {
  run: string;
  status: RunStatus;
  /** That of the most important finding, or what was checked in a healthy run. */
  headline: string;
  first_step: number | null;
  last_step: number | null;
  findings: Finding[];
}

/** Where two runs first differ. */
export interface FirstDifference {
  step: number;
  /** Later than `step` where a recording window covers several steps. */
  last_step: number;
  /** The runs differ before that step already. */
  initial: boolean;
  kind: "norm" | "nonfinite";
  role: string;
  layer: string;
  tensor: string;
  worker?: string;
  /** Of both runs: elements that are NaN or Inf, or the root mean square. */
  values: [WireNumber, WireNumber];
  relative_difference: number;
  /** Tensors that differ at that step, this one included. */
  tensors: number;
}

export interface ComparisonAnswer {
  runs: [string, string];
  tolerance: number;
  first_step: number | null;
  last_step: number | null;
  norm_steps: number;
  tensors: number;
  /** Tensors that one of the runs alone has. */
  only: [number, number];
  first_difference: FirstDifference | null;
}

/** `count` elements x of this sign with 2**exponent <= |x| < 2**(exponent + 1). */
export type HistogramBin = [sign: number, exponent: number, count: number];

export interface CellAnswer {
  run: string;
  tensor: Tensor;
  /** The steps that the merged records cover; null, like all below, where there is no record. */
  first_step: number | null;
  last_step: number | null;
  records: number;
  columns: Record<ColumnName, WireNumber> | null;
  statistics: Record<StatisticName, WireNumber> | null;
  mean: WireNumber;
  rms: WireNumber;
  largest_magnitude: WireNumber;
  /** The L2 norm at the tensor's usual level. */
  usual_norm: WireNumber;
  /** Of the single records' largest L2 norms. */
  smallest_norm: WireNumber;
  median_norm: WireNumber;
  sampled_step: number | null;
  histogram: HistogramBin[] | null;
}

/** One layer over the whole run; null where a number is not known. */
export interface LayerSummary {
  path: string;
  /** "" where it is not known. */
  class_name: string;
  /** Ids of its tensors. */
  tensors: string[];
  parameters: number | null;
  /** One value a column; null where nothing was recorded. */
  gradient_rms: (number | null)[];
  ratio: WireNumber;
  ratio_role: "update" | "gradient" | "";
  zero_share: WireNumber;
  zero_role: "activation" | "gradient" | "";
  /** In decades. */
  headroom: WireNumber;
  /** `cause` is that of a finding, or "nonfinite". */
  first_trouble: { step: number; cause: string } | null;
}

export interface LayersAnswer {
  run: string;
  /** Of the columns of the gradient RMS. */
  edges: number[];
  layers: LayerSummary[];
}

/** The number behind its JSON form; NaN where there is none. */
export function numberFromWire(value: WireNumber | undefined): number {
  return value === null || value === undefined ? Number.NaN : Number(value);
}
