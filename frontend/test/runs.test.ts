import { expect, test } from "vitest";
import { numberGroups } from "../src/model/cell_numbers";
import { allNonfiniteText, describeCell } from "../src/model/cell_text";
import { describeDeparture } from "../src/model/departure";
import {
  beganText,
  isAnyPending,
  missingDataTexts,
  runCountsText,
  runFacts,
  runStateText,
  runsByTrouble,
  runsInOrder,
  runsMatching,
  runToOpen,
  sharedDirectory,
} from "../src/model/runs";
import { statusLabel } from "../src/views/icons";
import type { CellAnswer } from "../src/wire/answers";
import { decodeGrid, type Grid } from "../src/wire/grid";
import { COLUMNS, STATUSES } from "../src/wire/schema";
import { detail, finding, nonfiniteSummary, summary, tensor } from "./answers";
import { encodeGrid } from "./encode_grid";

const PENDING = summary({ run: "pending", status: "pending", headline: "" });

test("the runs with trouble come first, the earliest first of all", () => {
  const runs = [
    summary({ run: "none", status: "empty" }),
    summary({ run: "run10" }),
    summary({ run: "run9" }),
    PENDING,
    summary({ run: "slow", status: "unstable" }),
    nonfiniteSummary("late", 90),
    nonfiniteSummary("early", 17),
  ];
  expect(runsByTrouble(runs).map(({ run }) => run)).toEqual([
    ...["early", "late", "slow", "pending", "run9", "run10", "none"],
  ]);
  expect(runToOpen(runs)?.run).toBe("early");
  expect(runToOpen([])).toBeUndefined();
});

test("a pending run with NaN or Inf is opened before an unstable one, not before a known one", () => {
  const suspect = { ...PENDING, run: "suspect", nonfinite_tensors: 3 };
  const unstable = summary({ run: "slow", status: "unstable" });
  expect(runToOpen([unstable, PENDING, suspect])?.run).toBe("suspect");
  expect(runToOpen([unstable, suspect, nonfiniteSummary("known", 90)])?.run).toBe("known");
  expect(isAnyPending([unstable, suspect])).toBe(true);
  expect(isAnyPending([unstable])).toBe(false);
  expect(isAnyPending(undefined)).toBe(false);
});

test("a run tells when it began", () => {
  expect(beganText(summary({ began: 1_790_000_000 }))).toMatch(/^began .*2026/);
  expect(beganText(summary({ began: null }))).toBe("");
});

test("every status has a place in the list and a text", () => {
  const runs = STATUSES.map((status) => summary({ run: status, status }));
  expect(runsByTrouble(runs).map(({ run }) => run)).toEqual([
    ...["nonfinite", "unstable", "pending", "healthy", "empty"],
  ]);
  for (const run of runs) {
    expect(runStateText(run)).not.toBe("");
    expect(statusLabel(run.status)).not.toBe("");
  }
  expect(runStateText(PENDING)).toBe("not diagnosed yet");
  expect(runStateText(nonfiniteSummary("a", 3))).toBe("NaN in the input data at step 3");
});

test("runs are found by words of their name and diagnosis, and ordered by time", () => {
  const runs = [
    summary({ run: "exp/base", last_written: 10 }),
    { ...nonfiniteSummary("exp/lr2", 17), last_written: 30 },
    { ...nonfiniteSummary("exp/lr1", 3), last_written: null },
  ];
  const names = (found: readonly { run: string }[]) =>
    found.map(({ run }) => run.slice(4)).join(" ");
  expect(names(runsMatching(runs, " LR input "))).toBe("lr2 lr1");
  expect(names(runsMatching(runs, "healthy"))).toBe("base");
  expect(runsMatching(runs, " ")).toBe(runs);
  expect(names(runsInOrder(runs, "trouble"))).toBe("lr1 lr2 base");
  expect(names(runsInOrder(runs, "time"))).toBe("lr2 base lr1");
  expect(runCountsText(runs)).toBe("2 NaN · 1 healthy");
});

test("the directory of all runs is named once", () => {
  expect(sharedDirectory(["logs/a/run1", "logs/a/run2"])).toBe("logs/a/");
  expect(sharedDirectory(["logs/a/run1", "logs/ab/run2"])).toBe("logs/");
  expect(sharedDirectory(["run1", "run2"])).toBe("");
  expect(sharedDirectory(["logs/run1"])).toBe("");
  expect(sharedDirectory([])).toBe("");
});

test("the facts of a run count exactly, and none repeats a finding", () => {
  const tensors = [tensor({ nonfinite_steps: 1 }), tensor({ id: "b" })];
  expect(runFacts(detail({ tensors }), { findings: [finding()] }, 0)).toEqual([
    "NaN or Inf reached 1 of 2 tensors",
    "240 steps recorded",
  ]);
  expect(runFacts(detail(), { findings: [] }, 7)).toEqual([
    "LossScaleOptimizer skipped 7 steps (normal)",
  ]);
  const backoff = finding({ cause: "loss-scale-backoff", severity: "info" });
  expect(runFacts(detail(), { findings: [backoff] }, 7)).toEqual(["240 steps recorded"]);
  expect(runFacts(detail(), { findings: [] }, 0)).toEqual([]);
});

test("missing data is named, and nothing where nothing is missing", () => {
  expect(missingDataTexts(detail())).toEqual([]);
  const lost = detail({ records: { written: 19, read: 12 }, problems: ["A file is damaged."] });
  expect(missingDataTexts(lost)).toEqual([
    "Only 12 of 19 records could be read. The others were dropped by TensorBoard’s sampling or are damaged.",
    "A file is damaged.",
  ]);
});

test("a cell as text", () => {
  const grid = decodeGrid(
    encodeGrid({
      run: "r",
      statistic: "norm",
      scale: "log10",
      rows: ["t"],
      edges: [0, 1, 2, 3, 4],
      value: [2, Number.NaN, 1, Number.NEGATIVE_INFINITY],
      flags: [8 | 1 | 2, 0, 8 | 16, 8 | 1],
    }),
  );
  expect(describeCell(grid, "t", 0)).toBe("NaN, +Inf; L2 norm 100");
  expect(describeCell(grid, "t", 1)).toBe("nothing recorded");
  expect(describeCell(grid, "t", 2)).toBe("step skipped by loss scaling; L2 norm 10");
  expect(describeCell(grid, "t", 3)).toBe("NaN");
  expect(describeCell(grid, "t", 4)).toBe("nothing recorded");
  expect(describeCell({ ...grid, statistic: "nonfinite", scale: "count" }, "t", 0)).toBe(
    "NaN, +Inf; 2 NaN/Inf",
  );
  expect(describeCell({ ...grid, statistic: "zero_share", scale: "share" }, "t", 2)).toMatch(
    /100% zeros$/,
  );
});

test("instability in words", () => {
  const texts = [1.08, -1.08, 0.1, 0.01, 4.64, 20.2, Infinity].map((one) => describeDeparture(one));
  expect(texts).toEqual([
    "12x above its usual level",
    "12x below its usual level",
    "1.3x above its usual level",
    "at its usual level",
    "44,000x above its usual level",
    "10^20x above its usual level",
    "infinitely above its usual level",
  ]);
  expect(describeDeparture(1, 0.8)).toBe("10x above its usual level of 0.8");
  expect(describeDeparture(0, 6.6e-14)).toBe("at its usual level of 6.6e-14");
  expect(describeDeparture(Number.NEGATIVE_INFINITY, 0.8)).toBe("norm 0; usual level of 0.8");
  const value = Float32Array.of(1, -2, Number.NEGATIVE_INFINITY);
  const grid: Grid = {
    ...{ run: "r", statistic: "instability", scale: "decades", rows: ["t"], edges: [0, 1, 2, 3] },
    ...{ value, flags: Uint8Array.of(8, 8 | 1, 8 | 1) },
  };
  const cells = [0, 1, 2].map((step) => describeCell(grid, "t", step, 3));
  expect(cells).toEqual([
    "10x above its usual level of 3",
    "NaN; 100x below its usual level of 3",
    "NaN",
  ]);
});

test("all elements are called NaN only where they are", () => {
  const columns = (elements: number, nan: number) =>
    ({ elements, nan, pos_inf: 0, neg_inf: 0 }) as NonNullable<CellAnswer["columns"]>;
  expect(allNonfiniteText(columns(2048, 2048))).toBe("All 2,048 elements are NaN");
  expect(allNonfiniteText(columns(1, 1))).toBe("The only element is NaN");
  expect(allNonfiniteText(columns(2048, 2047))).toBe("");
  expect(allNonfiniteText(columns(0, 0))).toBe("");
});

test("every column of the schema is among the numbers of a cell, once", () => {
  const columns = Object.fromEntries(COLUMNS.map(({ name }, index) => [name, index + 1]));
  columns.first_nonfinite_step = "NaN" as unknown as number;
  const answer = {
    columns,
    statistics: { nonfinite: 3, norm: 0, largest_magnitude: 0, zero_share: 0.25 },
    mean: 1,
    rms: 2,
    largest_magnitude: 3,
    sampled_step: 15,
  } as unknown as CellAnswer;
  const numbers = numberGroups(
    answer,
    answer.columns as NonNullable<CellAnswer["columns"]>,
  ).flatMap((group) => group.numbers);
  for (const { description } of COLUMNS) {
    expect(numbers.filter((number) => number.description === description)).toHaveLength(1);
  }
  const labels = numbers.map(({ label }) => label);
  expect(new Set(labels).size).toBe(labels.length);
  const text = (label: string) => numbers.find((number) => number.label === label)?.text;
  expect(text("First step with NaN or Inf")).toBe("–");
  expect(text("% zeros")).toBe("25%");
  expect(numbers.find(({ label }) => label === "NaN")?.alarming).toBe(true);
});
