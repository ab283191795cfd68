import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration } from "../src/model/numbers";
import { formatTime, LOG_STEPS, logTicks, STEPS, timeTicks, wallTime } from "../src/model/scale";
import {
  isVisible,
  middleOfStep,
  stepAt,
  ticksOf,
  timelineOf,
  xOfStep,
} from "../src/model/timeline";

const WALL = wallTime({ steps: [0, 10, 20], seconds: [1000, 1001, 1101] });

describe("a scale", () => {
  test("ascends and goes back", () => {
    const steps = fc.tuple(fc.integer({ min: -1000, max: 1e9 }), fc.integer({ min: 1, max: 1e6 }));
    fc.assert(
      fc.property(fc.constantFrom(STEPS, LOG_STEPS, WALL), steps, (scale, [step, more]) => {
        expect(scale.position(step + more)).toBeGreaterThan(scale.position(step));
        expect(scale.step(scale.position(step)) / (step || 1)).toBeCloseTo(step ? 1 : 0, 6);
      }),
    );
  });

  test("positions steps by their logarithm, and step 0 too", () => {
    expect([-9, 0, 9, 99].map(LOG_STEPS.position)).toEqual([-1, 0, 1, 2].map((at) => at + 0));
  });

  test("knows where nothing ran", () => {
    const times = { steps: [0, 10, 20, 21, 31], seconds: [0, 10, 20, 3620, 3630] };
    expect(wallTime(times).pauses).toEqual([[20, 3619]]);
    expect(WALL.pauses).toEqual([]);
    const validated = { steps: [0, 10, 20, 21, 31], seconds: [0, 10, 20, 220, 230] };
    expect(wallTime(validated).pauses).toEqual([]);
  });

  test("positions steps by time, and goes on beyond what is known", () => {
    expect([-20, 5, 15, 40].map(WALL.position)).toEqual([-101, 0.5, 51, 202]);
  });
});

describe("the axis", () => {
  test("fills its room on another scale, and every step has its position", () => {
    for (const scale of [LOG_STEPS, WALL]) {
      const timeline = timelineOf([0, 5, 9], 700, { from: 0, to: 9 }, scale);
      expect(timeline.width).toBeCloseTo(700);
      expect(xOfStep(timeline, 0)).toBe(0);
      for (let step = 0; step < 9; step++) {
        expect(Math.floor(stepAt(timeline, middleOfStep(timeline, step)))).toBe(step);
        expect(isVisible(timeline, step)).toBe(true);
      }
    }
  });

  test("has the powers of ten as ticks of a logarithmic scale", () => {
    const wide = timelineOf([], 700, { from: 0, to: 100_000 }, LOG_STEPS);
    const ticks = ticksOf(wide, 70).map(({ text }) => text);
    expect(ticks.filter((text) => /^10*(,000)*$/.test(text))).toEqual([
      ...["1", "10", "100", "1,000", "10,000"],
    ]);
    expect(ticks[0]).toBe("0");
    const near = timelineOf([], 700, { from: 50_000, to: 50_064 }, LOG_STEPS);
    expect(ticksOf(near, 70).map(({ text }) => text)).toContain("50,030");
  });

  test("has ticks that are apart, visible and in order, on every scale", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(STEPS, LOG_STEPS, WALL),
        fc.nat(1e6),
        fc.integer({ min: 8, max: 1e6 }),
        (scale, from, span) => {
          const timeline = timelineOf([], 700, { from, to: from + span }, scale);
          const ticks = ticksOf(timeline, 70);
          expect(ticks.length).toBeGreaterThan(0);
          ticks.forEach(({ x }, index) => {
            expect(x).toBeGreaterThanOrEqual(-1e-6);
            expect(x).toBeLessThanOrEqual(timeline.width + 1e-6);
            const before = ticks[index - 1];
            if (before) expect(x - before.x).toBeGreaterThanOrEqual(27 - 1e-6);
          });
        },
      ),
    );
  });

  test("counts time in round units", () => {
    expect(timeTicks(0, 150, 40).map(({ text }) => text)).toEqual(["0 s", "1 min", "2 min"]);
    expect(timeTicks(0, 7200, 1000).map(({ text }) => text)).toEqual([
      "0 s",
      "30 min",
      "1 h",
      "1 h 30 min",
      "2 h",
    ]);
    expect(timeTicks(0.9, 1.6, 0.3).map(({ text }) => text)).toEqual(["1 s", "1.5 s"]);
    expect(logTicks(0, 0, 1).map(({ text }) => text)).toEqual(["0"]);
  });

  test("has the time of a step as text", () => {
    const times = { steps: [0, 10], seconds: [1000, 1100] };
    expect(formatTime(times, 5)).toMatch(/^50 s after start, 1970-01-01 \d\d:17:30$/);
    expect([0, 0.25, 59.94, 61, 3600, 90_061].map(formatDuration)).toEqual([
      ...["0 s", "0.25 s", "59.9 s", "1 min 1 s", "1 h", "1 d 1 h"],
    ]);
  });
});
