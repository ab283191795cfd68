/** The heatmap by keyboard: what the keys do, and that the selected row stays in view. */

import { useEffect } from "preact/hooks";
import { moved, shownTensors } from "../model/cursor";
import type { Lines } from "../model/lanes";
import { columnOfStep, stepsOfColumn, type Timeline } from "../model/timeline";
import type { Session } from "../state/session";

/** Acts upon a key; true where it was one of the heatmap's. */
export function handleKey(
  event: KeyboardEvent,
  session: Session,
  lines: Lines,
  timeline: Timeline,
): boolean {
  const selection = session.selection.value;
  if (event.key === "Enter" && selection) {
    document.getElementById("details")?.focus();
    return true;
  }
  if (event.key === "Escape" && selection) {
    session.select(null);
    return true;
  }
  if (event.altKey || event.metaKey) return false;
  const tensors = shownTensors(lines.lines);
  const row = selection ? tensors.indexOf(selection.tensor) : -1;
  const column = selection ? columnOfStep(timeline, selection.step) : -1;
  const far = event.ctrlKey || event.shiftKey;
  const from = { row: Math.max(0, row), column: Math.max(0, column) };
  const to = moved(from, event.key, far, tensors.length, timeline.columns);
  if (!to) return false;
  // The first key shows where one is before it moves on.
  const place = row < 0 || column < 0 ? from : to;
  const tensor = tensors[place.row] as string;
  session.select({ tensor, step: stepsOfColumn(timeline, place.column)[0] });
  return true;
}

/** Scrolls the selected row into view when another one is selected. */
export function useRowInView(
  scroller: { current: HTMLDivElement | null },
  session: Session,
  lines: Lines,
  bodyHeight: number,
): void {
  const tensor = session.selection.value?.tensor;
  // Only another selection scrolls: a reload must not.
  useEffect(() => {
    const line = lines.lines.find((one) => one.kind === "tensor" && one.tensor.id === tensor);
    const element = scroller.current;
    if (!line || !element || bodyHeight <= 0) return;
    const { scrollTop } = element;
    if (line.top < scrollTop) element.scrollTop = line.top - line.height;
    else if (line.top + line.height > scrollTop + bodyHeight) {
      element.scrollTop = line.top + 2 * line.height - bodyHeight;
    }
  }, [tensor, bodyHeight > 0]);
}
