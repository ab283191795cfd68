import { expect, test } from "vitest";
import { cellBox, ORIGIN_WIDTH } from "../src/draw/marks";
import { timelineOf } from "../src/model/timeline";

const timeline = (steps: number, from: number, to: number) =>
  timelineOf(
    Array.from({ length: steps + 1 }, (_, step) => step),
    600,
    { from, to },
  );

test("the origin is at least ten pixels wide at any zoom, and within the picture", () => {
  expect(ORIGIN_WIDTH).toBeGreaterThanOrEqual(10);
  for (const to of [2, 20, 600, 6000]) {
    const shown = timeline(6000, 0, to);
    for (const step of [0, Math.floor(to / 2), to - 1]) {
      const box = cellBox(shown, step, 3, 20, ORIGIN_WIDTH);
      expect(box?.width).toBeGreaterThanOrEqual(ORIGIN_WIDTH);
      expect(box?.left).toBeGreaterThanOrEqual(0);
      expect((box?.left ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(shown.width + 1e-6);
    }
  }
});

test("a cell out of view has no box, one that reaches out of it is cut", () => {
  expect(cellBox(timeline(100, 50, 60), 49, 0, 9, 0)).toBeUndefined();
  expect(cellBox(timeline(100, 50, 60), 60, 0, 9, 0)).toBeUndefined();
  const cut = cellBox(timeline(100, 50.5, 60.5), 50, 0, 9, 0);
  expect(cut?.left).toBe(0);
  expect(cut?.width).toBeCloseTo(14);
});
