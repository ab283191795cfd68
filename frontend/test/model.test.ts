import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { moveCursor } from "../src/model/cursor";
import { barHeight, barsOf, countTicks } from "../src/model/histogram";
import { LANE_HEIGHT, lanesOf, layLines, lineAt } from "../src/model/lanes";
import { legendTicks, magnitudeOf, tableIndex } from "../src/model/magnitude";
import { splitName, visibleName, wholeName } from "../src/model/names";
import {
  formatCount,
  formatGridValue,
  formatNumber,
  formatPowerOfTen,
  formatSteps,
} from "../src/model/numbers";
import {
  columnOfStep,
  isVisible,
  stepAt,
  stepsOfColumn,
  stepTicks,
  timelineOf,
  visibleColumns,
  xOfStep,
} from "../src/model/timeline";
import { tensor } from "./answers";

describe("names", () => {
  test("an empty name and control characters become visible", () => {
    expect(visibleName("")).toBe("(no name)");
    expect(visibleName("\n")).toBe("␊");
    expect(visibleName("a\tb\u007f")).toBe("a␉b␡");
    expect(visibleName("x\u202ey")).toBe("x�y");
  });

  test("the last parts of a path stay where there is no room", () => {
    expect(splitName("model/block_1/dense/kernel", 14)).toEqual({
      head: "model/block_1/",
      tail: "dense/kernel",
    });
    expect(splitName("model/dense/kernel", 6)).toEqual({ head: "model/dense/", tail: "kernel" });
    expect(splitName("model/dense/kernel", 4)).toEqual({ head: "model/dense/kern", tail: "el" });
    expect(splitName("kernel", 14)).toEqual({ head: "", tail: "kernel" });
  });

  test("head and tail are the whole name, unless it is absurdly long", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 150 }), (name) => {
        const { head, tail } = splitName(name, 24);
        expect(head + tail).toBe(visibleName(name));
        expect(tail.length).toBeLessThanOrEqual(24);
      }),
    );
    const { head, tail } = splitName("x".repeat(10_000), 24);
    expect(head.length + tail.length).toBeLessThan(500);
    expect(wholeName("y".repeat(10_000)).length).toBeLessThan(500);
  });
});

describe("numbers", () => {
  test("counts are exact and separated", () => {
    expect(formatCount(12345678)).toBe("12,345,678");
    expect(formatSteps(1200, 1299)).toBe("steps 1,200–1,299");
    expect(formatSteps(7, 7)).toBe("step 7");
  });

  test("measures are short, and what is not finite is named", () => {
    expect(formatNumber(0)).toBe("0");
    expect(formatNumber(1.5)).toBe("1.5");
    expect(formatNumber(-3.7e-7)).toBe("−3.7e-7");
    expect(formatNumber(Number.NaN)).toBe("NaN");
    expect(formatNumber(Number.NEGATIVE_INFINITY)).toBe("−Inf");
  });

  test("a logarithm is undone", () => {
    expect(formatGridValue(2, "log10")).toBe("100");
    expect(formatGridValue(Number.NEGATIVE_INFINITY, "log10")).toBe("0");
    expect(formatGridValue(0.25, "share")).toBe("25%");
    expect(formatPowerOfTen(-12)).toBe("10⁻¹²");
  });
});

describe("lanes", () => {
  const tensors = [
    tensor({ id: "w", role: "weight" }),
    tensor({ id: "g1", role: "gradient", first_nonfinite_step: 2 }),
    tensor({ id: "g2", role: "gradient" }),
    tensor({ id: "z", role: "of_a_newer_version" }),
  ];

  test("are in the order of a step's data flow, unknown roles last", () => {
    const lanes = lanesOf(tensors);
    expect(lanes.map(({ key }) => key)).toEqual(["gradient", "weight", "of_a_newer_version"]);
    expect(lanes[0]?.tensors.map(({ id }) => id)).toEqual(["g1", "g2"]);
  });

  test("a closed lane takes one line, and every height belongs to one line", () => {
    const lines = layLines(lanesOf(tensors), (item) => item.key !== "gradient", 1000);
    expect(lines.lines.map(({ kind }) => kind)).toEqual([
      "lane",
      "lane",
      "tensor",
      "lane",
      "tensor",
    ]);
    for (const line of lines.lines) {
      expect(lineAt(lines, line.top)).toBe(line);
      expect(lineAt(lines, line.top + line.height - 0.5)).toBe(line);
    }
    expect(lineAt(lines, -1)).toBeUndefined();
    expect(lineAt(lines, lines.height)).toBeUndefined();
    expect(lines.height).toBe(3 * LANE_HEIGHT + 2 * lines.rowHeight);
  });

  test("rows become dense where they would not fit", () => {
    const lanes = lanesOf(Array.from({ length: 100 }, (_, index) => tensor({ id: String(index) })));
    expect(layLines(lanes, () => true, 5000).rowHeight).toBe(22);
    expect(layLines(lanes, () => true, 800).rowHeight).toBe(16);
  });
});

describe("the timeline", () => {
  const anyEdges = fc
    .tuple(fc.nat(1e6), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 80 }))
    .map(([first, widths]) => {
      const edges = [first];
      for (const width of widths) edges.push((edges.at(-1) as number) + width);
      return edges;
    });

  test("finds the column of each of its steps", () => {
    fc.assert(
      fc.property(anyEdges, (edges) => {
        const timeline = timelineOf(edges, 700);
        for (let column = 0; column < timeline.columns; column++) {
          const [first, last] = stepsOfColumn(timeline, column);
          expect(columnOfStep(timeline, first)).toBe(column);
          expect(columnOfStep(timeline, last)).toBe(column);
          const middle = (xOfStep(timeline, first) + xOfStep(timeline, last + 1)) / 2;
          const step = Math.floor(stepAt(timeline, middle));
          expect(columnOfStep(timeline, step)).toBe(column);
        }
        expect(columnOfStep(timeline, (edges[0] as number) - 1)).toBe(-1);
        expect(columnOfStep(timeline, edges.at(-1) as number)).toBe(-1);
      }),
    );
  });

  test("maps each visible step to its place, and back", () => {
    const range = fc.tuple(
      fc.double({ min: 0, max: 900, noNaN: true }),
      fc.integer({ min: 8, max: 400 }),
    );
    fc.assert(
      fc.property(anyEdges, range, (edges, [offset, span]) => {
        const from = (edges[0] as number) + offset;
        const timeline = timelineOf(edges, 700, { from, to: from + span });
        const step = Math.floor(from + span / 2);
        expect(stepAt(timeline, xOfStep(timeline, step))).toBeCloseTo(step, 6);
        expect(isVisible(timeline, step)).toBe(true);
        expect(isVisible(timeline, Math.floor(from) - 1)).toBe(false);
        const [begin, end] = visibleColumns(timeline);
        for (let column = 0; column < timeline.columns; column++) {
          const [first, last] = stepsOfColumn(timeline, column);
          const seen = last + 1 > from && first < from + span;
          expect(column >= begin && column < end).toBe(seen);
        }
      }),
    );
  });

  test("a short run keeps its cells small", () => {
    expect(timelineOf([0, 1, 2, 3], 900).width).toBe(84);
    expect(timelineOf([], 900)).toMatchObject({ columns: 0, width: 0 });
  });

  test("ticks are whole steps of the range", () => {
    expect(stepTicks(timelineOf([5, 105, 245], 500), 70)).toEqual([50, 100, 150, 200]);
    fc.assert(
      fc.property(anyEdges, (edges) => {
        const ticks = stepTicks(timelineOf(edges, 700), 70);
        for (const tick of ticks) {
          expect(Number.isInteger(tick)).toBe(true);
          expect(tick).toBeGreaterThanOrEqual(edges[0] as number);
          expect(tick).toBeLessThan(edges.at(-1) as number);
        }
        expect(ticks.length).toBeLessThanOrEqual(16);
      }),
    );
  });
});

describe("magnitude", () => {
  test("spans the finite values alone", () => {
    const values = Float32Array.of(Number.NEGATIVE_INFINITY, -3, 2, Number.NaN, Infinity);
    const magnitude = magnitudeOf(values, "log10");
    expect(magnitude).toMatchObject({ low: -3, high: 2 });
    expect(tableIndex(magnitude, -3)).toBe(0);
    expect(tableIndex(magnitude, 2)).toBe(255);
    expect(tableIndex(magnitude, 99)).toBe(255);
  });

  test("of instability is the same in every run, and its legend is in words", () => {
    const magnitude = magnitudeOf(Float32Array.of(0.1, 38), "decades");
    expect(magnitude).toEqual(magnitudeOf(new Float32Array(), "decades"));
    expect([-99, -3, 3, 38].map((value) => tableIndex(magnitude, value))).toEqual([0, 0, 255, 255]);
    expect(legendTicks(magnitude).map(({ text }) => text)).toEqual([
      ...["1,000x below", "10x below", "usual level", "10x above", "1,000x above"],
    ]);
  });

  test("is defined where no value is, or one alone", () => {
    for (const values of [[], [Number.NaN], [0.5, 0.5]]) {
      for (const scale of ["log10", "share", "count"] as const) {
        const magnitude = magnitudeOf(Float32Array.from(values), scale);
        expect(magnitude.high).toBeGreaterThan(magnitude.low);
        const ticks = legendTicks(magnitude);
        expect(ticks.length).toBeGreaterThan(1);
        for (const { at } of ticks) expect(at >= -1e-9 && at <= 1 + 1e-9).toBe(true);
      }
    }
  });
});

describe("the cursor", () => {
  test("moves by one, by ten, to the ends, and never out", () => {
    const at = { row: 3, column: 5 };
    expect(moveCursor(at, "ArrowRight", false, 20, 100)).toEqual({ row: 3, column: 6 });
    expect(moveCursor(at, "ArrowLeft", true, 20, 100)).toEqual({ row: 3, column: 0 });
    expect(moveCursor(at, "End", false, 20, 100)).toEqual({ row: 3, column: 99 });
    expect(moveCursor(at, "End", true, 20, 100)).toEqual({ row: 19, column: 99 });
    expect(moveCursor(at, "ArrowUp", true, 20, 100)).toEqual({ row: 0, column: 5 });
    expect(moveCursor(at, "x", false, 20, 100)).toBeUndefined();
    expect(moveCursor(at, "End", false, 0, 0)).toBeUndefined();
  });
});

describe("the histogram", () => {
  test("has one bar an exponent and loses no element", () => {
    const bin = fc.tuple(
      fc.constantFrom(-1, 1),
      fc.integer({ min: -149, max: 127 }),
      fc.integer({ min: 1, max: 1e9 }),
    );
    fc.assert(
      fc.property(fc.array(bin, { minLength: 1, maxLength: 60 }), (bins) => {
        const { bars, most } = barsOf(bins);
        const total = bars.reduce((sum, bar) => sum + bar.positive + bar.negative, 0);
        expect(total).toBe(bins.reduce((sum, [, , size]) => sum + size, 0));
        bars.forEach((bar, index) => {
          expect(bar.exponent).toBe((bars[0]?.exponent ?? 0) + index);
          expect(barHeight(bar.positive, most)).toBeLessThanOrEqual(1);
        });
      }),
    );
  });

  test("shows one element among a million, and nothing for none", () => {
    expect(barHeight(1, 1e6)).toBeGreaterThan(0.04);
    expect(barHeight(0, 1e6)).toBe(0);
    expect(barsOf([])).toEqual({ bars: [], most: 0 });
    expect(countTicks(5000)).toEqual([1, 10, 100, 1000]);
  });
});
