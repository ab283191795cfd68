/** Something that is fetched: its value, its error, whether it is loading. */

import { batch, signal } from "@preact/signals";
import { Latest } from "../api/latest";

export class Resource<T> {
  readonly value = signal<T | undefined>(undefined);
  readonly error = signal<string | undefined>(undefined);
  readonly loading = signal(false);
  readonly #latest = new Latest();

  /** The known value stays until the new answer comes, also where that is an error. */
  async load(fetch: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.loading.value = true;
    try {
      const value = await this.#latest.ask(fetch);
      if (value === undefined) return;
      batch(() => {
        this.value.value = value;
        this.error.value = undefined;
        this.loading.value = false;
      });
    } catch (error) {
      batch(() => {
        this.error.value = error instanceof Error ? error.message : String(error);
        this.loading.value = false;
      });
    }
  }

  clear(): void {
    this.#latest.cancel();
    batch(() => {
      this.value.value = undefined;
      this.error.value = undefined;
      this.loading.value = false;
    });
  }
}
