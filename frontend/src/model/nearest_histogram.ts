/** Where the next histogram is, for a step without one. */

import type { Spectrogram } from "../wire/spectrogram";
import { stepsOfColumn } from "./timeline";

/** First and last step of the nearest column with a histogram; undefined where there is none. */
export function nearestHistogram(
  { edges, sampled_elements }: Pick<Spectrogram, "edges" | "sampled_elements">,
  step: number,
): [number, number] | undefined {
  let nearest: [number, number] | undefined;
  let least = Number.POSITIVE_INFINITY;
  sampled_elements.forEach((elements, column) => {
    if (!(elements > 0)) return;
    const [first, last] = stepsOfColumn({ edges }, column);
    const distance = Math.max(first - step, step - last, 0);
    if (distance >= least) return;
    least = distance;
    nearest = [first, last];
  });
  return nearest;
}
