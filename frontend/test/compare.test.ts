import { describe, expect, test } from "vitest";
import {
  comparisonLimits,
  differenceText,
  divergenceText,
  onlyInText,
  unitedTensors,
} from "../src/model/comparison";
import { differenceOf, differencesOf, signedMagnitude } from "../src/model/difference";
import { formatDifference, legendTicks, tableIndex } from "../src/model/magnitude";
import {
  batchRowsText,
  describeOperation,
  elementRows,
  rerunModeText,
  sourceLines,
  sourceLocation,
} from "../src/model/operation";
import type { ComparisonAnswer } from "../src/wire/answers";
import type { Grid } from "../src/wire/grid";
import { tensor } from "./answers";

const R = 8;

function grid(edges: number[], rows: Record<string, [number[], number[]]>, run = "a"): Grid {
  const strips = Object.values(rows);
  return {
    ...{ run, statistic: "norm", scale: "log10", rows: Object.keys(rows), edges },
    value: Float32Array.from(strips.flatMap(([value]) => value)),
    flags: Uint8Array.from(strips.flatMap(([, flags]) => flags)),
  };
}

describe("the difference of two runs", () => {
  const base = grid([0, 2, 4, 6], {
    x: [
      [1, 2, Number.NaN],
      [R, R, 0],
    ],
    y: [
      [0, 0, 0],
      [R, R, R],
    ],
  });

  test("is of the second run less the first, in the first one's columns", () => {
    const other = grid([0, 1, 2, 3, 4, 5, 6], { x: [[1, 3, 2, 1, 5, 5], Array(6).fill(R)] }, "b");
    const { rows, value, flags } = differenceOf(base, other);
    expect(rows).toEqual(["x"]);
    expect([...value]).toEqual([2, 0, Number.NaN]);
    expect([...flags]).toEqual([R, R, 0]);
  });

  test("has no NaN where one of the runs recorded nothing", () => {
    const ours = grid([0, 1, 2], {
      x: [
        [1, 1],
        [R | 1, R | 1],
      ],
    });
    const other = grid(
      [0, 1, 2],
      {
        x: [
          [1, Number.NaN],
          [R, 0],
        ],
      },
      "b",
    );
    expect([...differenceOf(ours, other).flags]).toEqual([R | 1, 0]);
  });

  test("keeps the NaN and infinities of both, and the sign of a difference from zero", () => {
    const zero = Number.NEGATIVE_INFINITY;
    const ours = grid([0, 1, 2, 3], {
      x: [
        [zero, zero, 1],
        [R, R | 1, R],
      ],
    });
    const other = grid(
      [0, 1, 2, 3],
      {
        x: [
          [zero, 1, zero],
          [R, R, R | 2],
        ],
      },
      "b",
    );
    const { value, flags } = differenceOf(ours, other);
    expect(value[0]).toBe(0);
    expect(value[1]).toBeGreaterThan(1e20);
    expect(value[2]).toBeLessThan(-1e20);
    expect([...flags]).toEqual([R, R | 1, R | 2]);
  });

  test("takes no other statistic, and the finest grid that covers", () => {
    const other = grid([0, 6], { x: [[4], [R]] }, "b");
    const close = grid(
      [0, 3, 6],
      {
        x: [
          [2, 4],
          [R, R],
        ],
      },
      "b",
    );
    expect([...(differencesOf([base], [other, close])[0]?.value.subarray(0, 2) ?? [])]).toEqual([
      1, 2,
    ]);
    expect(differencesOf([base], [{ ...other, statistic: "zero_share" }])).toEqual([]);
    expect(differencesOf([base], [])).toEqual([]);
  });

  test("has a scale whose middle is the same", () => {
    const magnitude = signedMagnitude(
      grid([0, 1, 2], {
        x: [
          [-1.5, 9],
          [R, R],
        ],
      }),
    );
    expect([magnitude.low, magnitude.high]).toEqual([-3, 3]);
    expect([-9, -3, 3, 1e30].map((value) => tableIndex(magnitude, value))).toEqual([
      0, 0, 255, 255,
    ]);
    expect(Math.abs(tableIndex(magnitude, 0) - 127.5)).toBeLessThan(1);
    expect(legendTicks(magnitude).map(({ text }) => text)).toEqual(["÷1000", "=", "×1000"]);
  });

  test("is a factor, or percentage points", () => {
    expect(formatDifference(1, "log10")).toBe("×10");
    expect(formatDifference(-Math.log10(2.5), "log10")).toBe("÷2.5");
    expect(formatDifference(-1e30, "log10")).toBe("÷∞");
    expect(formatDifference(0.25, "share")).toBe("+25%");
  });
});

test("where runs diverge, as text", () => {
  const difference = {
    ...{ step: 32, last_step: 47, initial: false, kind: "norm" as const, role: "gradient" },
    ...{ layer: "dense", tensor: "dense/kernel", tensors: 3, relative_difference: 0.25 },
    values: [3, 4] as [number, number],
  };
  const answer: ComparisonAnswer = {
    ...{ runs: ["a", "b"], tolerance: 0.01, first_step: 0, last_step: 99, norm_steps: 96 },
    ...{ tensors: 9, only: [0, 2], first_difference: difference },
  };
  expect(divergenceText(answer)).toBe("diverges from a within steps 32–47");
  expect(differenceText(answer, difference)).toBe(
    "RMS 3 in a, 4 in b, norms differ by 25%; 2 more tensors in the same step",
  );
  expect(comparisonLimits(answer)).toEqual([
    "Norms compared at 96 of 100 steps: elsewhere the recording windows of the runs do not match.",
    "2 tensors only in b.",
  ]);
  const bad = {
    ...difference,
    ...{ kind: "nonfinite" as const, tensors: 1, values: [0, 40] as [number, number] },
  };
  expect(differenceText(answer, bad)).toBe("40 NaN or Inf in b, none in a");
  expect(differenceText(answer, { ...bad, values: [1, 0] })).toBe("1 NaN or Inf in a, none in b");
  const text = (first_difference: ComparisonAnswer["first_difference"]) =>
    divergenceText({ ...answer, first_difference });
  expect(text({ ...bad, last_step: 32 })).toBe("diverges from a at step 32");
  expect(text({ ...bad, initial: true })).toBe("differs from a before step 32");
  expect(text(null)).toBe("matches a: all norms within 1%");
  expect(divergenceText({ ...answer, first_step: null })).toBe(
    "has no step and tensor in common with a",
  );
});

describe("the tensors of compared runs", () => {
  const run = (name: string, ids: string) => ({
    run: `sweep/${name}`,
    tensors: new Map([...ids].map((id) => [id, tensor({ id, first_nonfinite_step: 7 })])),
  });
  const [a, b, c] = [run("a", "xyz"), run("b", "pxqrz"), run("c", "xsz")];

  test("are in the order of each, those of the selected run first", () => {
    const own = [...a.tensors.values()];
    const united = unitedTensors(own, [b, c]);
    expect(united.map(({ id }) => id).join("")).toBe("pxsqryz");
    // A step at which another run was bad is none of the selected run's.
    expect(united.map((one) => (one.first_nonfinite_step === null ? one.id : "")).join("")).toBe(
      "psqr",
    );
    expect(unitedTensors(own, [run("d", "zx")])).toBe(own);
  });

  test("tell which of the runs have them", () => {
    const text = (ids: string) => onlyInText([...run("", ids).tensors.values()], [a, b, c]);
    expect([...["x", "y", "r", "s", "xy", "qy"]].map(text)).toEqual([
      ...["", "only in a", "only in b", "only in c", "", "only in a, b"],
    ]);
    expect(onlyInText([tensor({ id: "x" })], [])).toBe("");
  });
});

test("an operation has a title, a location, its lines and its elements", () => {
  const operation = {
    type: "Log",
    pass: "backward",
    layer: "gate",
    file: "m.py",
    line: 57,
    function: "call",
  };
  expect(describeOperation(operation)).toBe("Log in the backward pass of layer gate");
  expect(describeOperation({ type: "Mul" })).toBe("Mul");
  expect(describeOperation({ type: "Mul", pass: "update" })).toBe("Mul in the update");
  const adam = { type: "Mul", pass: "update", optimizer: "keras.optimizers.Adam" };
  expect(describeOperation(adam)).toBe("Mul in the update of keras.optimizers.Adam");
  expect(sourceLocation(operation)).toBe("m.py:57, in call");
  expect(sourceLocation({ type: "Mul" })).toBe("");
  const source = [
    { line: 56, text: "a" },
    { line: 57, text: "b" },
  ];
  expect(sourceLines({ ...operation, source }).map(({ failing }) => failing)).toEqual([
    false,
    true,
  ]);
  expect(sourceLines({ ...operation, code: "c" })).toEqual([
    { number: 57, text: "c", failing: true },
  ]);
  expect(sourceLines({ type: "Mul" })).toEqual([]);
  const elements = [
    { index: [3, 0], value: "0.0" },
    { index: [], value: "nan" },
  ];
  const result = [{ index: [3, 0], value: "-inf" }];
  expect(elementRows([{ elements }, { name: "y" }, { elements: result }])).toEqual([
    { index: "[3, 0]", values: ["0.0", "", "-inf"] },
    { index: "", values: ["nan", "", ""] },
  ]);
  const whole = ["", "  def f():", "", "    b", "", "", "def g():"].map((text, line) => ({
    line,
    text,
  }));
  expect(sourceLines({ type: "Mul", line: 3, source: whole }).map(({ text }) => text)).toEqual([
    ...["def f():", "", "  b"],
  ]);
});

test("batch rows are listed as ranges, and no longer than a line", () => {
  expect(batchRowsText([17])).toBe("Batch row 17");
  expect(batchRowsText([11, 3])).toBe("Batch rows 3, 11");
  expect(batchRowsText(Array.from({ length: 32 }, (_, row) => row))).toBe("Batch rows 0–31");
  expect(batchRowsText([1, 2, 3, 5, ...Array.from({ length: 20 }, (_, at) => 10 + 2 * at)])).toBe(
    "Batch rows 1–3, 5, 10, 12, 14, 16, 18, 20, 22, 24 and 12 more",
  );
});

test("how a step was re-run, also in a mode of a newer version", () => {
  expect(["eager", "graph", "xla"].map(rerunModeText)).toEqual([
    ...["eagerly", "as a graph", "with XLA"],
  ]);
  expect(rerunModeText("new")).toBe("(new)");
});
