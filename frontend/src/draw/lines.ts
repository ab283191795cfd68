/** How the lines of runs that stand beside one another are told apart: by colour and by dashes. */

import type { Theme } from "../theme/colours";

export interface LineStyle {
  colour: string;
  /** Lengths of dashes and gaps in pixels; none for a solid line. */
  dash: readonly number[];
}

/** The style of a run; the chosen one is 0. */
export function lineOfRun(theme: Theme, index: number): LineStyle {
  const others: LineStyle[] = [
    { colour: theme.negative, dash: [6, 3] },
    { colour: theme.calm, dash: [2, 2] },
    { colour: theme.muted, dash: [8, 3, 2, 3] },
  ];
  if (index === 0) return { colour: theme.positive, dash: [] };
  return others[(index - 1) % others.length] as LineStyle;
}
