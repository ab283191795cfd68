/** What a first-time reader needs, in one line; gone for good once it is closed. */

import type { Signal } from "@preact/signals";

export function Hint({ known }: { known: Signal<boolean> }) {
  if (known.value) return null;
  return (
    <p class="hint">
      <span>
        A <b>row</b> is a tensor, a <b>column</b> is time, <b>color</b> is the distance from its own
        usual level. Press <kbd>?</kbd> for help.
      </span>
      <button
        type="button"
        class="close"
        aria-label="Close the hint"
        onClick={() => {
          known.value = true;
        }}
      >
        ×
      </button>
    </p>
  );
}
