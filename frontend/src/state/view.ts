/** Which steps are in sight. */

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { including, isWhole, panned, type Range, spanOf, within, zoomed } from "../model/range";

/** Where one is taken, this many steps about the one of interest come into sight. */
const STEPS_AROUND = 64;

export class View {
  /** What was zoomed to; null for the whole run, however it grows. */
  readonly chosen = signal<Range | null>(null);
  readonly #whole: ReadonlySignal<Range | null>;

  readonly range = computed((): Range | null => {
    const whole = this.#whole.value;
    const chosen = this.chosen.value;
    return whole && chosen ? within(chosen, whole) : whole;
  });

  constructor(whole: ReadonlySignal<Range | null>) {
    this.#whole = whole;
  }

  /** Shows `factor` times as many steps about a step, or about the middle. */
  zoom(factor: number, at?: number): void {
    this.#change((range, whole) => zoomed(range, factor, at ?? (range.from + range.to) / 2, whole));
  }

  pan(steps: number): void {
    this.#change((range, whole) => panned(range, steps, whole));
  }

  show(wanted: Range): void {
    this.#change((_range, whole) => within(wanted, whole));
  }

  /** Moves as little as is needed to have a step in sight. */
  include(step: number): void {
    this.#change((range, whole) => including(range, step, whole));
  }

  /** Brings a step into sight, near enough to tell it from its neighbours. */
  goTo(step: number): void {
    this.#change((range, whole) => {
      const span = Math.min(spanOf(range), STEPS_AROUND);
      if (span === spanOf(range)) return including(range, step, whole);
      return within({ from: step + 0.5 - span / 2, to: step + 0.5 + span / 2 }, whole);
    });
  }

  reset(): void {
    this.chosen.value = null;
  }

  #change(change: (range: Range, whole: Range) => Range): void {
    const whole = this.#whole.value;
    const range = this.range.value;
    if (!whole || !range) return;
    const changed = change(range, whole);
    if (isWhole(changed, whole)) this.chosen.value = null;
    else if (changed.from !== range.from || changed.to !== range.to) this.chosen.value = changed;
  }
}
