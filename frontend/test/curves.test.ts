import { signal } from "@preact/signals";
import { describe, expect, test, vi } from "vitest";
import { csvOf } from "../src/model/csv";
import { formatCurveValue, logTicks, NO_NORMS, runCurves } from "../src/model/curves";
import { highlightsOf } from "../src/model/highlights";
import { RunCurves } from "../src/state/curves";
import { fileName } from "../src/views/files";
import { decodeGrid, type Grid } from "../src/wire/grid";
import { STATISTICS } from "../src/wire/schema";
import type { Spectrogram } from "../src/wire/spectrogram";
import { tensor } from "./answers";
import { encodeGrid } from "./encode_grid";

const log = (...norms: number[]) => norms.map(Math.log10);

function normsOf(rows: Record<string, number[]>, flags?: number[]): Grid {
  const value = Object.values(rows).flat();
  return decodeGrid(
    encodeGrid({
      ...{ run: "r", statistic: "norm", scale: "log10", rows: Object.keys(rows), value },
      edges: Array.from({ length: (Object.values(rows)[0]?.length ?? 0) + 1 }, (_, step) => step),
      flags: flags ?? value.map(() => 8),
    }),
  );
}

describe("the curves above the heatmap", () => {
  test("of thousands of tensors are the same in slices, and the last ones asked for win", async () => {
    const ids = Array.from({ length: 3000 }, (_, row) => `t${row}`);
    const grid = (scale: number) =>
      normsOf(
        Object.fromEntries(ids.map((id, row) => [id, Array(200).fill(Math.log10(scale + row))])),
      );
    const [first, second] = [grid(1), grid(2)];
    const tensors = ids.map((id) => tensor({ id }));
    const norms = signal<Grid | undefined>(first);
    const curves = new RunCurves(norms, signal(tensors));
    const end = curves.start();
    expect(curves.value.value.map(({ values }) => values.length)).toEqual([0]);
    norms.value = second;
    await vi.waitFor(() => expect(curves.value.value[0]?.values.length).toBe(200));
    expect(curves.value.value).toEqual(runCurves(second, tensors));
    end();
  });

  test("have the loss scale where there is one", () => {
    const grid = {
      ...normsOf({ a: log(1, 2) }, [8, 8 | 16]),
      loss_scale: Float64Array.of(1024, 512),
    };
    const [, scale] = runCurves(grid, [tensor({ id: "a" })]);
    expect(scale?.name).toBe("scale");
    expect(scale && [0, 1].map((column) => formatCurveValue(scale.values, column))).toEqual([
      "1024",
      "512",
    ]);
    expect(scale && [...scale.skipped]).toEqual([0, 1]);
  });

  test("are the loss and the joint norm of all gradients", () => {
    const grid = normsOf({
      l: log(0.5, 0.25, 0),
      a: log(3, 0, Number.NaN),
      b: log(4, 0, 7),
    });
    const curves = runCurves(grid, [
      tensor({ id: "l", role: "loss" }),
      tensor({ id: "a" }),
      tensor({ id: "b" }),
    ]);
    expect(curves.map(({ name }) => name)).toEqual(["loss", "gradient"]);
    const [loss, gradient] = curves as [(typeof curves)[0], (typeof curves)[0]];
    expect([0, 1, 2].map((column) => formatCurveValue(loss.values, column))).toEqual([
      "0.5",
      "0.25",
      "0",
    ]);
    expect([0, 1, 2].map((column) => formatCurveValue(gradient.values, column))).toEqual([
      "5",
      "0",
      "7",
    ]);
  });

  test("mark columns with NaN or Inf, skipped ones, and those with nothing recorded", () => {
    const grid = normsOf({ a: [Number.NaN, 1], b: [Number.NaN, 2] }, [0, 8 | 2, 0, 8 | 16]);
    const [gradient] = runCurves(grid, [tensor({ id: "a" }), tensor({ id: "b" })]);
    expect(gradient && [[...gradient.nonfinite], [...gradient.skipped]]).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(gradient && formatCurveValue(gradient.values, 0)).toBe("–");
    // Its place is known before its values are.
    expect(runCurves(NO_NORMS, [tensor({ id: "a" })]).map(({ values }) => values.length)).toEqual([
      0,
    ]);
  });

  test("do not overflow where squares would", () => {
    const grid = normsOf({ a: [300], b: [300] });
    const [gradient] = runCurves(grid, [tensor({ id: "a" }), tensor({ id: "b" })]);
    expect(gradient?.values[0]).toBeCloseTo(300 + Math.log10(2) / 2, 4);
  });

  test("have the ratio of updates to what they change, of one worker alone", () => {
    const grid = normsOf({ u: log(0.01), w: log(2), other: log(100), far: log(1e6) });
    const curves = runCurves(grid, [
      tensor({ id: "u", role: "update" }),
      tensor({ id: "w", role: "weight" }),
      tensor({ id: "other", role: "weight", name: "statistics" }),
      tensor({ id: "far", role: "update", worker: "worker1" }),
    ]);
    expect(curves.map(({ name, values }) => [name, formatCurveValue(values, 0)])).toEqual([
      ["ratio", "0.005"],
    ]);
  });

  test("have ticks within their scale", () => {
    for (const [low, high] of [
      [-3.2, 4.1],
      [0.1, 0.3],
    ] as const) {
      const ticks = logTicks(low, high);
      expect(ticks.length).toBeGreaterThan(1);
      for (const { value } of ticks) expect(value >= low - 1e-9 && value <= high + 1e-9).toBe(true);
    }
  });
});

test("the highlights of a healthy run are its extremes", () => {
  const grid = normsOf({ a: log(3, 0, 5), b: log(0.5, 4, Number.NaN), w: log(9, 9.5, 9) });
  const found = highlightsOf(grid, [
    tensor({ id: "a" }),
    tensor({ id: "b" }),
    tensor({ id: "w", role: "weight" }),
  ]);
  expect(found.map(({ what, tensor, step, value }) => [what, tensor.id, step, value])).toEqual([
    ["Largest gradient", "a", 2, "5"],
    ["Smallest gradient", "b", 0, "0.5"],
    ["Largest weight", "w", 1, "9.5"],
  ]);
  expect(highlightsOf(grid, [])).toEqual([]);
});

test("numbers leave as RFC 4180, and a name is never a formula", () => {
  const spectrogram = {
    ...{ run: 'a"b', tensor: "t", edges: [0, 10, 20, 30], first_exponent: 0, bins: 0 },
    counts: new Float32Array(),
    sampled_elements: Float64Array.of(8, 8, 0),
    zero: Float64Array.of(1, 0, 0),
    subnormal: new Float64Array(3),
    statistics: Object.fromEntries(
      STATISTICS.map(({ name }) => [name, Float32Array.of(0.5, Number.NEGATIVE_INFINITY, NaN)]),
    ),
    flags: Uint8Array.of(8, 8 | 1 | 4, 0),
  } as Spectrogram;
  const text = csvOf(spectrogram, tensor({ name: "=1+1,x" }), { from: 10, to: 30 });
  const first = csvOf(spectrogram, tensor({}), { from: 0, to: 10 }).split("\r\n")[1];
  expect(first?.endsWith(",0.5,0.5,3.16228,3.16228,0.5,0.5,3.16228,8,1,0")).toBe(true);
  const lines = text.split("\r\n");
  expect(lines[0]).toBe(
    "run,role,layer,tensor,worker,first_step,last_step,recorded,nan,pos_inf,neg_inf,scale_skipped,instability_decades,nonfinite,norm,largest_magnitude,zero_share,headroom_decades,update_ratio,sampled_elements,zero,subnormal",
  );
  expect(lines.slice(1)).toEqual([
    `"a""b",gradient,dense,"'=1+1,x",,10,19,1,1,0,1,0,-inf,-inf,0,0,-inf,-inf,0,8,0,0`,
    `"a""b",gradient,dense,"'=1+1,x",,20,29,0,0,0,0,0,,,,,,,,0,0,0`,
    "",
  ]);
});

test("a file name is one that any system takes", () => {
  expect(fileName(["a/b:c", "", "dense/kernel"], "csv")).toBe("a_b_c-dense_kernel.csv");
  expect(fileName(["."], "png")).toBe("nanwatch.png");
  expect(fileName([""], "png")).toBe("nanwatch.png");
});
