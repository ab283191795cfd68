import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FORMATS, float16Text, formatFits, limitLines } from "../src/model/formats";
import { barsOf, overlaidBars } from "../src/model/histogram";
import { nearestHistogram } from "../src/model/nearest_histogram";
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
        const fits = formatFits({ bins, subnormal, elements: finite, finite }, "float32");
        expect(fits.map(({ format }) => format.name)).toEqual(
          FORMATS.slice(1).map(({ name }) => name),
        );
        for (const { format, zero, subnormal: fewer, infinite } of fits) {
          const unchanged = bins
            .filter(([, e]) => e >= format.smallest && e < format.overflows)
            .reduce((sum, [, , count]) => sum + count, 0);
          expect(zero + fewer + infinite + unchanged / finite).toBeCloseTo(1, 9);
        }
      }),
    );
  });

  test("are summed up in a sentence about float16", () => {
    const counts = (bins: HistogramBin[]) => ({ bins, subnormal: 0, elements: 1000, finite: 1000 });
    const text = (bins: HistogramBin[]) =>
      float16Text(formatFits(counts(bins), "float32"), "gradient");
    const withOnes = (...bins: HistogramBin[]) =>
      text([...bins, [1, 0, 1000 - bins.reduce((sum, [, , count]) => sum + count, 0)]]);
    expect(withOnes([1, -30, 41])).toBe("In float16, 4.1% of this gradient would flush to zero.");
    expect(withOnes([1, -26, 10], [-1, 16, 20])).toBe(
      "In float16, 1% of this gradient would flush to zero and 2% would overflow.",
    );
    expect(withOnes([-1, 16, 20])).toBe("In float16, 2% of this gradient would overflow.");
    expect(withOnes([1, -15, 5])).toBe(
      "Fits in float16, but 0.5% of this gradient would lose precision.",
    );
    expect(withOnes()).toBe("Fits in float16.");
  });

  test("that are wider than the tensor's own are left out, and all of them without elements", () => {
    const counts = { bins: [[1, 0, 1000]] as HistogramBin[], subnormal: 0, elements: 1000 };
    expect(formatFits({ ...counts, bins: [], finite: 0 }, "float32")).toEqual([]);
    const fits = formatFits({ ...counts, finite: 1000 }, "float16");
    expect(fits.map(({ format }) => format.name)).toEqual([
      ...["bfloat16", "float8_e5m2", "float8_e4m3fn"],
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

test("a step is compared with the last good one, or with the first", () => {
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

test("the nearest histogram is the one with the fewest steps in between", () => {
  const spectrogram = {
    edges: [0, 16, 32, 48, 64],
    sampled_elements: Float64Array.of(8, 0, 8, Number.NaN),
  };
  expect(nearestHistogram(spectrogram, 20)).toEqual([0, 15]);
  expect(nearestHistogram(spectrogram, 28)).toEqual([32, 47]);
  expect(nearestHistogram(spectrogram, 60)).toEqual([32, 47]);
  expect(nearestHistogram({ ...spectrogram, sampled_elements: new Float64Array(4) }, 3)).toBe(
    undefined,
  );
});
