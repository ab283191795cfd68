/** A piece of a run's line, as in the curves. */

import type { LineStyle } from "../../draw/line_styles";

export function LineSwatch({ style: { color, dash } }: { style: LineStyle }) {
  return (
    <svg class="line-swatch" width="20" height="8" viewBox="0 0 20 8" aria-hidden="true">
      <path d="M0 4h20" stroke={color} stroke-width="2" stroke-dasharray={dash.join(" ")} />
    </svg>
  );
}
