/** What the heatmap and its keys can do beyond its own view. */

import type { Selection } from "../../model/cursor";
import type { Steps } from "../../model/selected_range";
import type { ComparedRun } from "../../state/compared_run";
import type { Tensor } from "../../wire/answers";

export interface HeatmapActions {
  /** Selects a cell, of a compared run where that has the tensor. */
  select(selection: Selection | null, compared?: ComparedRun): void;
  /** Selects a tensor at the selected step, or else at its first NaN or Inf. */
  selectTensor(tensor: Tensor, compared?: ComparedRun): void;
  /** Selects the steps over which the selected tensor is summed up. */
  selectRange(range: Steps | null): void;
  chooseFinding(index: number): void;
  nextFinding(direction: 1 | -1): void;
  /** Selects the origin of the open finding, and scrolls and zooms to it. */
  jumpToOrigin(): void;
  nextAxis(): void;
  openHelp(): void;
  /** Shows the details of the selected cell. */
  showDetails(): void;
}
