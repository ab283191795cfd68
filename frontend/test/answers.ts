/** Answers of the server, to be varied. */

import type { Finding, RunDetail, RunSummary, Tensor } from "../src/wire/answers";

export function tensor(change: Partial<Tensor> = {}): Tensor {
  return {
    id: "8d1c0a3be5f2",
    role: "gradient",
    layer: "dense",
    name: "sequential/dense/kernel",
    shape: [64, 128],
    dtype: "float32",
    worker: "",
    description: "",
    first_nonfinite_step: null,
    last_nonfinite_step: null,
    nonfinite_steps: 0,
    ...change,
  };
}

export function summary(change: Partial<RunSummary> = {}): RunSummary {
  return {
    run: "run",
    status: "healthy",
    headline: "Healthy: no NaN or Inf (240 steps, 17 tensors)",
    began: 1_790_000_000,
    first_step: 0,
    last_step: 239,
    tensors: 17,
    records: { written: 19, read: 19 },
    nonfinite_tensors: 0,
    scale_skipped_steps: 0,
    last_written: null,
    finding: null,
    ...change,
  };
}

/** A run whose first finding is an error at a step. */
export function nonfiniteSummary(run: string, step: number): RunSummary {
  const headline = `NaN in the input data at step ${step}`;
  const finding = { cause: "nonfinite-input", severity: "error", step, headline } as const;
  return summary({ run, status: "nonfinite", headline, nonfinite_tensors: 3, finding });
}

export function detail(change: Partial<RunDetail> = {}): RunDetail {
  return {
    run: "run",
    began: 1_790_000_000,
    first_step: 0,
    last_step: 239,
    records: { written: 19, read: 19 },
    problems: [],
    times: null,
    versions: "keras 3.15.1, tensorflow 2.21.0",
    tensors: [tensor()],
    ...change,
  };
}

export function finding(change: Partial<Finding> = {}): Finding {
  return {
    cause: "loss-domain",
    severity: "error",
    step: 17,
    last_step: 240,
    origin: { role: "loss", layer: "", tensor: "loss" },
    affected: [],
    evidence: { nan: 1 },
    headline: "NaN in the loss at step 17 · `Log` · train.py:34",
    message: "",
    advice: "",
    fix_code: "",
    help: "findings.md#loss-domain",
    ...change,
  };
}
