/** The selected cell as text, for a screen reader. */

import { describeCell } from "../../model/cell_text";
import type { Selection } from "../../model/cursor";
import { tensorTitle } from "../../model/names";
import { formatSteps } from "../../model/numbers";
import type { HeatmapGrids } from "../../state/grids";
import type { Rows } from "../../state/rows";

interface AnnouncementProps {
  rows: Rows;
  grids: HeatmapGrids;
  selection: Selection | null;
  /** First and last step of the selected column. */
  steps: [number, number] | undefined;
}

export function Announcement({ rows, grids, selection, steps }: AnnouncementProps) {
  const tensor = rows.tensors.value.find(({ id }) => id === selection?.tensor);
  const grid = steps && grids.gridAt(steps[0]);
  const text =
    tensor && steps && grid
      ? `${tensorTitle(tensor).slice(0, 200)}, ${formatSteps(...steps)}: ${describeCell(grid, tensor.id, steps[0])}`
      : "";
  return (
    <p class="unseen" aria-live="polite">
      {text}
    </p>
  );
}
