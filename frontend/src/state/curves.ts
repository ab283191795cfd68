/** The curves above the heatmap, computed a few milliseconds at a time. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import { curvesInSlices, NO_NORMS, type RunCurve, runCurves } from "../model/curves";
import type { Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";

/** Leaves enough of a frame for its drawing. */
const SLICE_MS = 4;

export class RunCurves {
  readonly value = signal<readonly RunCurve[]>([]);
  #known = new WeakMap<Grid, readonly RunCurve[]>();
  #tensors: readonly Tensor[] | undefined;

  constructor(
    /** The norms of the visible steps. */
    readonly norms: ReadonlySignal<Grid | undefined>,
    readonly tensors: ReadonlySignal<readonly Tensor[] | undefined>,
  ) {}

  /** Follows the visible steps from now on; returns a function that stops it. */
  start(): () => void {
    return effect(() => {
      const [grid, tensors] = [this.norms.value, this.tensors.value];
      if (tensors !== this.#tensors) {
        this.#tensors = tensors;
        this.#known = new WeakMap();
        const placeholders = tensors ? runCurves(NO_NORMS, tensors) : [];
        // A reload keeps the drawn curves; otherwise empty ones take their room until the values arrive.
        if (namesOf(placeholders) !== namesOf(this.value.peek())) this.value.value = placeholders;
      }
      if (!grid || !tensors) return undefined;
      const known = this.#known.get(grid);
      if (known) {
        this.value.value = known;
        return undefined;
      }
      return inSlices(curvesInSlices(grid, tensors), (curves) => {
        this.#known.set(grid, curves);
        this.value.value = curves;
      });
    });
  }
}

function namesOf(curves: readonly RunCurve[]): string {
  return curves.map(({ name }) => name).join(" ");
}

/** Does work in slices, the first one now; returns a function that stops it. */
function inSlices<T>(work: Generator<void, T>, done: (result: T) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const slice = () => {
    const end = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done) {
        done(step.value);
        return;
      }
    } while (performance.now() < end);
    timer = setTimeout(slice, 0);
  };
  slice();
  return () => clearTimeout(timer);
}
