import { signal } from "@preact/signals";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  cutFor,
  FEWEST_STEPS,
  including,
  lengthOf,
  panned,
  type Range,
  spanOf,
  within,
  zoomed,
} from "../src/model/range";
import { LOG_STEPS, STEPS, wallTime } from "../src/model/scale";
import { StepViewport } from "../src/state/viewport";

const anyWhole = fc
  .tuple(fc.nat(1e6), fc.integer({ min: 1, max: 1e6 }))
  .map(([from, steps]): Range => ({ from, to: from + steps }));
/** Slow, then fast, then a pause. */
const WALL = wallTime({
  steps: [0, 100, 5000, 5001, 900_000],
  seconds: [7, 57, 107, 9107, 10_107],
});
const anyScale = fc.constantFrom(STEPS, LOG_STEPS, WALL);
const share = fc.double({ min: 0, max: 1, noNaN: true });

function rangeWithin(whole: Range, at: number, part: number): Range {
  const span = spanOf(whole) * (0.01 + 0.99 * part);
  const from = whole.from + at * (spanOf(whole) - span);
  return within({ from, to: from + span }, whole);
}

describe("zooming", () => {
  test("keeps what is under the pointer where it is, unless the run ends", () => {
    const whole = { from: 0, to: 1000 };
    const range = { from: 400, to: 600 };
    const closer = zoomed(range, 0.5, 450, whole);
    expect(closer).toEqual({ from: 425, to: 525 });
    expect((450 - closer.from) / spanOf(closer)).toBe((450 - range.from) / spanOf(range));
    expect(zoomed(range, 100, 450, whole)).toEqual(whole);
    expect(zoomed({ from: 0, to: 100 }, 2, 100, whole)).toEqual({ from: 0, to: 200 });
  });

  test("never leaves the run and never shows fewer than the fewest steps", () => {
    fc.assert(
      fc.property(
        ...[anyWhole, share, share, share, fc.double({ min: 0.01, max: 100, noNaN: true })],
        anyScale,
        (whole, at, part, where, factor, scale) => {
          const range = rangeWithin(whole, at, part);
          const step = range.from + where * spanOf(range);
          const wanted = Math.floor(whole.from + where * (spanOf(whole) - 1));
          const [zoom, pan, include] = [
            zoomed(range, factor, step, whole, scale),
            panned(range, (where - 0.5) * 1e7, whole, scale),
            including(range, wanted, whole, scale),
          ];
          for (const changed of [zoom, pan, include]) {
            expect(changed.from).toBeGreaterThanOrEqual(whole.from - 1e-3);
            expect(changed.to).toBeLessThanOrEqual(whole.to + 1e-3);
            expect(spanOf(changed)).toBeGreaterThan(0);
          }
          const least = Math.min(FEWEST_STEPS, spanOf(whole));
          // On another scale as many about the middle; more of them where steps are narrower.
          if (scale === STEPS) expect(spanOf(zoom)).toBeGreaterThanOrEqual(least - 1e-6);
          expect(include.from).toBeLessThanOrEqual(wanted + 1e-3);
          expect(include.to).toBeGreaterThanOrEqual(wanted + 1 - 1e-3);
        },
      ),
    );
  });

  test("makes a step visible by moving as little as is needed", () => {
    const whole = { from: 0, to: 1000 };
    const range = { from: 400, to: 500 };
    expect(including(range, 450, whole)).toBe(range);
    expect(including(range, 500, whole)).toEqual({ from: 411, to: 511 });
    expect(including(range, 300, whole)).toEqual({ from: 290, to: 390 });
    expect(including(range, 999, whole)).toEqual({ from: 900, to: 1000 });
  });
});

describe("what the server is asked for", () => {
  test("covers the visible range, aligned, with columns at most twice as many as wanted", () => {
    fc.assert(
      fc.property(
        anyWhole,
        share,
        share,
        fc.integer({ min: 64, max: 1024 }),
        (whole, at, part, columns) => {
          const range = rangeWithin(whole, at, part);
          const cut = cutFor(range, whole, columns, 4096);
          expect(cut.first).toBeGreaterThanOrEqual(whole.from);
          expect(cut.first).toBeLessThanOrEqual(Math.max(whole.from, range.from));
          expect(cut.last + 1).toBeGreaterThanOrEqual(Math.min(whole.to, range.to) - 1e-6);
          expect(cut.columns).toBeGreaterThanOrEqual(1);
          expect(cut.columns).toBeLessThanOrEqual(4096);
          if (cut.columns === 4096) return;
          const width = (cut.last + 1 - cut.first) / cut.columns;
          expect(Math.log2(width) % 1).toBe(0);
          expect((cut.first - whole.from) % width).toBe(0);
          expect(width).toBeLessThanOrEqual(Math.max(1, spanOf(range) / columns));
        },
      ),
    );
  });

  test("covers the visible range on every scale, in columns about as narrow as wanted", () => {
    fc.assert(
      fc.property(
        ...[anyWhole, share, share, fc.integer({ min: 64, max: 1024 }), anyScale],
        (whole, at, part, columns, scale) => {
          const range = rangeWithin(whole, at, part);
          const cut = cutFor(range, whole, columns, 4096, scale);
          expect(Number.isInteger(cut.first) && Number.isInteger(cut.last)).toBe(true);
          expect(cut.first).toBeGreaterThanOrEqual(whole.from);
          expect(cut.first).toBeLessThanOrEqual(range.from);
          expect(cut.last + 1).toBeGreaterThanOrEqual(range.to - 1e-3);
          const length = lengthOf({ from: cut.first, to: cut.last + 1 }, scale);
          const own = lengthOf(range, scale);
          if (scale === STEPS) return;
          // Its ends are moved to whole steps.
          const ends =
            lengthOf({ from: cut.first, to: cut.first + 1 }, scale) +
            lengthOf({ from: cut.last, to: cut.last + 1 }, scale);
          expect((length - ends) / cut.columns).toBeLessThanOrEqual((own / columns) * 1.001);
          expect(cut.columns).toBeLessThanOrEqual(4096);
        },
      ),
    );
  });

  test("is the same for a little pan", () => {
    const whole = { from: 0, to: 100_000 };
    const cut = cutFor({ from: 50_010, to: 52_010 }, whole, 512, 4096);
    expect(cutFor({ from: 50_025, to: 52_025 }, whole, 512, 4096)).toEqual(cut);
  });
});

describe("the view", () => {
  test("follows a run that grows, and keeps what was zoomed to", () => {
    const whole = signal<Range | null>({ from: 0, to: 100 });
    const view = new StepViewport(whole);
    whole.value = { from: 0, to: 200 };
    expect(view.range.value).toEqual({ from: 0, to: 200 });
    view.goTo(150);
    const range = view.range.value;
    expect(range).toEqual({ from: 118.5, to: 182.5 });
    whole.value = { from: 0, to: 400 };
    expect(view.range.value).toEqual(range);
    view.zoom(100);
    expect(view.chosen.value).toBeNull();
  });

  test("knows nothing of a run without steps", () => {
    const view = new StepViewport(signal(null));
    view.zoom(0.5);
    view.pan(5);
    expect(view.range.value).toBeNull();
  });
});
