/** Computed values that stay the same object as long as they mean the same. */

import { computed, type ReadonlySignal } from "@preact/signals";

/**
 * A computed value whose followers are notified only where its key changes. Without it, a query
 * that is computed anew at each frame of a pan would be a new object, and be asked for again.
 */
export function distinct<T>(compute: () => T, keyOf: (value: T) => string): ReadonlySignal<T> {
  let last: { key: string; value: T } | undefined;
  return computed(() => {
    const value = compute();
    const key = keyOf(value);
    if (last?.key !== key) last = { key, value };
    return last.value;
  });
}
