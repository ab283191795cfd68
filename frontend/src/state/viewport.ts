/** Which steps are visible. */

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import {
  including,
  isWhole,
  lengthOf,
  panned,
  type Range,
  spanOf,
  within,
  zoomed,
} from "../model/range";
import { STEPS, type StepScale } from "../model/scale";

/** Going to a step shows this many steps around it. */
const STEPS_AROUND = 64;

export class StepViewport {
  /** The zoomed range; null for the whole run, however it grows. */
  readonly chosen = signal<Range | null>(null);

  readonly range = computed((): Range | null => {
    const whole = this.allSteps.value;
    const chosen = this.chosen.value;
    return whole && chosen ? within(chosen, whole, this.scale.value) : whole;
  });

  constructor(
    /** All steps that can be shown. */
    readonly allSteps: ReadonlySignal<Range | null>,
    /** The scale of the axis. */
    readonly scale: ReadonlySignal<StepScale> = signal(STEPS),
  ) {}

  /** Shows `factor` times as many steps around a step, or around the middle. */
  zoom(factor: number, at?: number): void {
    this.#change((range, whole) => {
      const { position, step } = this.scale.value;
      const middle = () => step((position(range.from) + position(range.to)) / 2);
      return zoomed(range, factor, at ?? middle(), whole, this.scale.value);
    });
  }

  /** Moves by a distance on the axis. */
  pan(by: number): void {
    this.#change((range, whole) => panned(range, by, whole, this.scale.value));
  }

  /** Moves by a share of the visible range. */
  panBy(share: number): void {
    const range = this.range.value;
    if (range) this.pan(share * lengthOf(range, this.scale.value));
  }

  show(wanted: Range): void {
    this.#change((_range, whole) => within(wanted, whole, this.scale.value));
  }

  /** Moves as little as is needed to make a step visible. */
  include(step: number): void {
    this.#change((range, whole) => including(range, step, whole, this.scale.value));
  }

  /** Makes a step visible, zoomed in enough to tell it from its neighbors. */
  goTo(step: number): void {
    this.#change((range, whole) => {
      const span = Math.min(spanOf(range), STEPS_AROUND);
      if (span === spanOf(range)) return including(range, step, whole, this.scale.value);
      const around = { from: step + 0.5 - span / 2, to: step + 0.5 + span / 2 };
      return within(within(around, whole), whole, this.scale.value);
    });
  }

  reset(): void {
    this.chosen.value = null;
  }

  #change(change: (range: Range, whole: Range) => Range): void {
    const whole = this.allSteps.value;
    const range = this.range.value;
    if (!whole || !range) return;
    const changed = change(range, whole);
    if (isWhole(changed, whole)) this.chosen.value = null;
    else if (changed.from !== range.from || changed.to !== range.to) this.chosen.value = changed;
  }
}
