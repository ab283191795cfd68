/** The selected cell in words, for a screen reader. */

import { visibleName } from "../model/names";
import { stepRange } from "../model/numbers";
import { cellSentence } from "../model/sentence";
import { roleWord } from "../model/verdict";
import type { Session } from "../state/session";

export function Announcement({ session }: { session: Session }) {
  const tensor = session.selectedTensor.value;
  const steps = session.selectedSteps.value;
  const grid = steps && session.picture.gridAt(steps[0]);
  const text =
    tensor && steps && grid
      ? `${roleWord(tensor.role)} ${visibleName(tensor.name).slice(0, 200)}, ${stepRange(...steps)}: ${cellSentence(grid, tensor.id, steps[0])}`
      : "";
  return (
    <p class="unseen" aria-live="polite">
      {text}
    </p>
  );
}
