import { expect, test } from "vitest";
import { numberGroups } from "../src/model/cell_numbers";
import { describeCell } from "../src/model/cell_text";
import {
  affectedSentence,
  healthySentence,
  missingSentences,
  nonfiniteCounts,
  runsByTrouble,
  runToOpen,
} from "../src/model/runs";
import type { CellAnswer } from "../src/wire/answers";
import { decodeGrid } from "../src/wire/grid";
import { COLUMNS } from "../src/wire/schema";
import { detail, FIRST, summary, tensor } from "./answers";
import { encodeGrid } from "./encode_grid";

test("the run with the earliest trouble is opened", () => {
  const late = summary({
    run: "late",
    status: "nonfinite",
    first_nonfinite: { ...FIRST, step: 90 },
  });
  const early = summary({ run: "early", status: "nonfinite", first_nonfinite: FIRST });
  const runs = [
    summary({ run: "none", status: "empty" }),
    summary({ run: "run10" }),
    summary({ run: "run9" }),
    late,
    early,
  ];
  expect(runToOpen(runs)?.run).toBe("early");
  expect(runsByTrouble(runs).map(({ run }) => run)).toEqual([
    "early",
    "late",
    "run9",
    "run10",
    "none",
  ]);
  expect(runToOpen([])).toBeUndefined();
});

test("the sentences count exactly", () => {
  expect(nonfiniteCounts({ nan: 1200, pos_inf: 0, neg_inf: 3 })).toBe("1,200 NaN, 3 −Inf");
  const tensors = [tensor({ nonfinite_steps: 1 }), tensor({ id: "b" })];
  expect(affectedSentence(detail({ tensors }))).toBe("1 of 2 tensors affected");
  expect(healthySentence(detail())).toBe("Nothing non-finite in steps 0–239");
  expect(healthySentence(detail({ first_step: null }))).toBe("No step has been recorded yet");
});

test("what is missing is said, and nothing where nothing is", () => {
  expect(missingSentences(detail())).toEqual([]);
  const lost = detail({ records: { written: 19, read: 12 }, problems: ["A file is damaged."] });
  expect(missingSentences(lost)).toEqual([
    "12 of 19 records retained: the rest was sampled away or is damaged.",
    "A file is damaged.",
  ]);
});

test("a cell in words", () => {
  const grid = decodeGrid(
    encodeGrid({
      run: "r",
      statistic: "norm",
      scale: "log10",
      rows: ["t"],
      edges: [0, 1, 2, 3],
      value: [2, Number.NaN, 1],
      flags: [8 | 1 | 2, 0, 8 | 16],
    }),
  );
  expect(describeCell(grid, "t", 0)).toBe("NaN and +Inf; norm 100");
  expect(describeCell(grid, "t", 1)).toBe("nothing recorded");
  expect(describeCell(grid, "t", 2)).toBe("a step skipped by loss scaling; norm 10");
  expect(describeCell(grid, "t", 3)).toBe("nothing recorded");
});

test("every column of the schema is among the facts, once", () => {
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
  const facts = numberGroups(answer, answer.columns as NonNullable<CellAnswer["columns"]>).flatMap(
    (group) => group.facts,
  );
  for (const { description } of COLUMNS) {
    expect(facts.filter(({ meaning }) => meaning === description)).toHaveLength(1);
  }
  const text = (label: string) => facts.find((fact) => fact.label === label)?.text;
  expect(text("First non-finite step")).toBe("–");
  expect(text("Zero share")).toBe("25%");
  expect(facts.find(({ label }) => label === "NaN")?.alarming).toBe(true);
});
