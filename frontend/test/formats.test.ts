import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  eighthSentence,
  FORMATS,
  float16Sentence,
  formatFits,
  limitLines,
} from "../src/model/formats";
import { barsOf, overlaidBars } from "../src/model/histogram";
import { referenceStep } from "../src/model/reference_step";
import type { HistogramBin } from "../src/wire/answers";

/** Bits of exponent and of fraction; whether the largest exponent holds finite numbers. */
const LAYOUTS: Record<string, [exponent: number, fraction: number, finiteTop: boolean]> = {
  float32: [8, 23, false],
  bfloat16: [8, 7, false],
  float16: [5, 10, false],
  float8_e5m2: [5, 2, false],
  float8_e4m3fn: [4, 3, true],
};

describe("number formats", () => {
  test.each(FORMATS)("$name has the limits that its bits give it", (format) => {
    const [exponent, fraction, finiteTop] = LAYOUTS[format.name] as [number, number, boolean];
    const bias = 2 ** (exponent - 1) - 1;
    expect(format.bits).toBe(1 + exponent + fraction);
    expect(format.smallest).toBe(1 - bias);
    // Half of the smallest subnormal rounds to zero.
    expect(format.vanishes).toBe(1 - bias - fraction - 1);
    expect(format.overflows).toBe(bias + (finiteTop ? 2 : 1));
  });

  test("lose the elements beyond their limits, and no element twice", () => {
    const bin = fc.tuple(
      fc.constantFrom(-1, 1),
      fc.integer({ min: -126, max: 127 }),
      fc.integer({ min: 1, max: 1000 }),
    );
    fc.assert(
      fc.property(fc.array(bin, { minLength: 1 }), fc.nat(50), (bins, subnormal) => {
        const finite = bins.reduce((sum, [, , count]) => sum + count, subnormal);
        const losses = formatFits({ bins, subnormal, elements: finite, finite }, "float32");
        expect(losses.map(({ format }) => format.name)).toEqual(
          FORMATS.slice(1).map(({ name }) => name),
        );
        for (const { format, zero, subnormal: fewer, infinite } of losses) {
          const kept = bins
            .filter(([, e]) => e >= format.smallest && e < format.overflows)
            .reduce((sum, [, , count]) => sum + count, 0);
          expect(zero + fewer + infinite + kept / finite).toBeCloseTo(1, 9);
        }
      }),
    );
  });

  test("are told of in words", () => {
    const spread = (bins: HistogramBin[]) => ({ bins, subnormal: 0, elements: 1000, finite: 1000 });
    const said = (bins: HistogramBin[]) =>
      float16Sentence(formatFits(spread(bins), "float32"), "gradient");
    expect(
      said([
        [1, -30, 41],
        [1, 0, 959],
      ]),
    ).toBe("4.1% of this gradient would be zero in float16.");
    const small = spread([
      [1, -12, 41],
      [1, 9, 9],
      [1, 0, 950],
    ]);
    expect(eighthSentence(formatFits(small, "float32"))).toBe(
      "In float8_e4m3fn 4.1% would be zero, 0.9% would overflow.",
    );
    expect(eighthSentence(formatFits(spread([[1, 0, 1000]]), "float32"))).toBe("");
    expect(
      said([
        [1, -26, 10],
        [-1, 16, 20],
        [1, 0, 970],
      ]),
    ).toBe("1% of this gradient would be zero and 2% would overflow in float16.");
    expect(
      said([
        [1, -15, 5],
        [1, 0, 995],
      ]),
    ).toBe("float16 holds all of this gradient, 0.5% of it with fewer digits.");
    expect(said([[1, 0, 1000]])).toBe("float16 holds all of this gradient.");
    expect(formatFits({ ...spread([]), finite: 0 }, "float32")).toEqual([]);
    expect(formatFits(spread([[1, 0, 1000]]), "float16").map(({ format }) => format.name)).toEqual([
      "bfloat16",
      "float8_e5m2",
      "float8_e4m3fn",
    ]);
  });

  test("share a line where they share a limit", () => {
    expect(limitLines(-20, 20)).toEqual([
      { exponent: -14, text: "e5m2, fp16 min" },
      { exponent: 16, text: "e5m2, fp16 max" },
      { exponent: -6, text: "e4m3 min" },
      { exponent: 9, text: "e4m3 max" },
    ]);
    expect(limitLines(-14, 8)).toEqual([{ exponent: -6, text: "e4m3 min" }]);
  });
});

test("a step is compared with the last healthy one, or with the first", () => {
  const bad = { first_nonfinite_step: 37 };
  expect(referenceStep(bad, [37, 37], 0)).toBe(36);
  expect(referenceStep(bad, [32, 63], 0)).toBe(31);
  expect(referenceStep(bad, [100, 100], 0)).toBe(36);
  expect(referenceStep(bad, [20, 20], 0)).toBe(0);
  expect(referenceStep({ first_nonfinite_step: null }, [20, 20], 5)).toBe(5);
  expect(referenceStep({ first_nonfinite_step: 0 }, [0, 0], 0)).toBeUndefined();
  expect(referenceStep({ first_nonfinite_step: null }, [0, 9], 0)).toBeUndefined();
});

test("two histograms share their axes, the other one as if it had as many elements", () => {
  const own = { bins: [[1, 0, 100]] as HistogramBin[], elements: 100 };
  const other = {
    bins: [
      [1, 3, 10],
      [-1, 0, 40],
    ] as HistogramBin[],
    elements: 50,
  };
  const compared = overlaidBars(own, other);
  expect(compared.bars.map(({ exponent }) => exponent)).toEqual(
    compared.other.map(({ exponent }) => exponent),
  );
  const at = (exponent: number) => compared.other.find((bar) => bar.exponent === exponent);
  expect([at(3)?.positive, at(0)?.negative, at(0)?.positive]).toEqual([20, 80, 0]);
  expect(compared.most).toBe(100);
  expect(overlaidBars(own, undefined)).toEqual({ ...barsOf(own.bins), other: [] });
});
