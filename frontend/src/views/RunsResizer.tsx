/** The edge of the list of runs: dragged, or moved by keys. */

import type { Signal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { clampedWidth, RUNS_WIDTH } from "../state/preferences";

const KEY_PIXELS = 16;

export function RunsResizer({ width }: { width: Signal<number> }) {
  // A custom property: the page is laid out anew, and nothing is rendered.
  useLayoutEffect(() => {
    document.body.style.setProperty("--runs-width", `${width.value}px`);
  }, [width.value]);
  const onKeyDown = (event: KeyboardEvent) => {
    const to = {
      ArrowLeft: width.value - KEY_PIXELS,
      ArrowRight: width.value + KEY_PIXELS,
      Home: RUNS_WIDTH.least,
      End: RUNS_WIDTH.most,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    width.value = clampedWidth(to);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a separator that takes focus is a slider, no <hr>.
    <div
      class="runs-resizer"
      role="separator"
      tabIndex={0}
      aria-label="Width of the list of runs"
      aria-orientation="vertical"
      aria-valuenow={width.value}
      aria-valuemin={RUNS_WIDTH.least}
      aria-valuemax={RUNS_WIDTH.most}
      title="Drag to resize; double-click for the usual width"
      onKeyDown={onKeyDown}
      onDblClick={() => {
        width.value = RUNS_WIDTH.usual;
      }}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId))
          width.value = clampedWidth(event.clientX);
      }}
    />
  );
}
