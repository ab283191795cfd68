/** The table of layers of the selected run, loaded while it is shown. */

import { effect, type ReadonlySignal, signal } from "@preact/signals";
import { fetchLayers } from "../api/routes";
import type { LayerOrder } from "../model/layers";
import type { LayersAnswer } from "../wire/answers";
import { Resource } from "./resource";

export class LayerTable {
  readonly answer = new Resource<LayersAnswer>();
  readonly order = signal<LayerOrder>({ column: "path", descending: false });

  constructor(
    readonly run: ReadonlySignal<string | null>,
    readonly isShown: ReadonlySignal<boolean>,
    /** Changes when the data does. */
    readonly generation: ReadonlySignal<number>,
  ) {}

  start(): void {
    let loaded = "";
    effect(() => {
      const run = this.run.value;
      if (run === null || !this.isShown.value) return;
      const state = `${this.generation.value} ${run}`;
      if (state === loaded) return;
      loaded = state;
      if (this.answer.value.peek()?.run !== run) this.answer.clear();
      void this.answer.load((signal) => fetchLayers(run, signal));
    });
  }
}
