/** The visible steps of a zoomed run, and the way back to all of them. */

import { formatCount } from "../../model/numbers";
import type { StepViewport } from "../../state/viewport";

interface VisibleRangeProps {
  viewport: StepViewport;
  width: number;
}

export function VisibleRange({ viewport, width }: VisibleRangeProps) {
  const range = viewport.chosen.value && viewport.range.value;
  if (!range) return null;
  return (
    <p class="visible-range" style={{ width: `${width}px` }}>
      <span>
        {formatCount(Math.floor(range.from))}–{formatCount(Math.ceil(range.to) - 1)}
      </span>
      <button type="button" onClick={() => viewport.reset()}>
        Reset zoom
      </button>
    </p>
  );
}
