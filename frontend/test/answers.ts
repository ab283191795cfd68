/** Answers of the server, to be varied. */

import type { RunDetail, RunSummary, Tensor } from "../src/wire/answers";

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
    first_step: 0,
    last_step: 239,
    tensors: 17,
    records: { written: 19, read: 19 },
    first_nonfinite: null,
    nonfinite_tensors: 0,
    scale_skipped_steps: 0,
    ...change,
  };
}

export function detail(change: Partial<RunDetail> = {}): RunDetail {
  return {
    run: "run",
    status: "healthy",
    first_step: 0,
    last_step: 239,
    records: { written: 19, read: 19 },
    first_nonfinite: null,
    problems: [],
    times: null,
    tensors: [tensor()],
    ...change,
  };
}

export const FIRST = {
  step: 17,
  tensor: "8d1c0a3be5f2",
  role: "input",
  layer: "",
  name: "input",
  nan: 1,
  pos_inf: 0,
  neg_inf: 0,
  initial: false,
};
