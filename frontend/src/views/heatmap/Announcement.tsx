/** The selected cell in words, for a screen reader. */

import { describeCell } from "../../model/cell_text";
import { visibleName } from "../../model/names";
import { formatSteps } from "../../model/numbers";
import { roleName } from "../../model/runs";
import type { Session } from "../../state/session";

export function Announcement({ session }: { session: Session }) {
  const tensor = session.selectedTensor.value;
  const steps = session.selectedSteps.value;
  const grid = steps && session.grids.gridAt(steps[0]);
  const text =
    tensor && steps && grid
      ? `${roleName(tensor.role)} ${visibleName(tensor.name).slice(0, 200)}, ${formatSteps(...steps)}: ${describeCell(grid, tensor.id, steps[0])}`
      : "";
  return (
    <p class="unseen" aria-live="polite">
      {text}
    </p>
  );
}
