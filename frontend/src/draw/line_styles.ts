/** Lines of compared runs differ in color and in dashes. */

import type { Theme } from "../theme/colors";

export interface LineStyle {
  color: string;
  /** Lengths of dashes and gaps in pixels; none for a solid line. */
  dash: readonly number[];
}

/** The style of a run; the selected one is 0. */
export function lineOfRun(theme: Theme, index: number): LineStyle {
  const others: LineStyle[] = [
    { color: theme.negative, dash: [6, 3] },
    { color: theme.calm, dash: [2, 2] },
    { color: theme.muted, dash: [8, 3, 2, 3] },
  ];
  if (index === 0) return { color: theme.positive, dash: [] };
  return others[(index - 1) % others.length] as LineStyle;
}
