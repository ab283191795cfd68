import fc from "fast-check";
import { expect, test } from "vitest";
import { extendedRange, rangeTexts, type Steps, stepsBetween } from "../src/model/selected_range";
import type { CellAnswer } from "../src/wire/answers";
import { tensor } from "./answers";

test("a range goes from where it began to the cursor, which may pass its beginning", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(4), fc.array(fc.constantFrom(-1, 1)), (began, width, moves) => {
      const columnAt = (at: number): Steps => [at * (width + 1), at * (width + 1) + width];
      let range: Steps | null = null;
      let at = began;
      for (const move of moves) {
        const from = columnAt(at);
        at += move;
        range = extendedRange(range, from, columnAt(at));
        // A beginning of several steps is one of them once the cursor has come back to it.
        expect(range[0]).toBeLessThanOrEqual(columnAt(at)[0]);
        expect(range[1]).toBeGreaterThanOrEqual(columnAt(at)[1]);
        if (width === 0) expect(range).toEqual([Math.min(began, at), Math.max(began, at)]);
      }
    }),
  );
});

test("a drag selects whole steps, in either direction and no others than there are", () => {
  expect(stepsBetween(3.7, 9.2, [0, 99])).toEqual([3, 9]);
  expect(stepsBetween(9.2, 3.7, [0, 99])).toEqual([3, 9]);
  expect(stepsBetween(-5, 120, [10, 99])).toEqual([10, 99]);
});

const answer = {
  ...{ run: "r", tensor: tensor(), first_step: 16, last_step: 95, records: 5 },
  columns: { steps: 80, nonfinite_steps: 3, first_nonfinite_step: 37, largest_norm: 12 },
  ...{ smallest_norm: 0.5, median_norm: 2 },
} as unknown as CellAnswer;

test("what is said of a range are its exact counts and the norms of its windows", () => {
  const texts = rangeTexts(answer).map(({ label, text, step }) => [label, text, step]);
  expect(texts).toEqual([
    ["Min L2 norm", "0.5", null],
    ["Median", "2", null],
    ["Max", "12", null],
    ["NaN or Inf", "3 of 80 steps", 37],
    ["Recorded", "steps 16–95, 5 windows", null],
  ]);
  const columns = { ...answer.columns, nonfinite_steps: 0, first_nonfinite_step: null };
  const healthy = { ...answer, columns, median_norm: null } as CellAnswer;
  expect(rangeTexts(healthy).slice(1, 4)).toEqual([
    { label: "Median", text: "–", step: null },
    { label: "Max", text: "12", step: null },
    { label: "NaN or Inf", text: "none in 80 steps", step: null },
  ]);
  expect(rangeTexts({ ...answer, columns: null })).toEqual([]);
});
