/** The heatmap by keyboard: what the keys do, and that the selected row stays in view. */

import { useEffect } from "preact/hooks";
import { moveCursor, rowsOfCells } from "../../model/cursor";
import { type Lines, lineOf, tensorAt } from "../../model/lanes";
import { columnOfStep, inSight, stepsOfColumn, type Timeline } from "../../model/timeline";
import type { Session } from "../../state/session";
import { FILTER_ID } from "../RowsBar";

const ZOOM = 1.5;
/** Of what is in sight. */
const PAN = 0.25;

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
  if (!event.ctrlKey && handleViewKey(event.key, session)) return true;
  return moveSelection(event, session, lines, timeline);
}

/** Zooming and panning, as in Perfetto, and by signs. */
function handleViewKey(key: string, session: Session): boolean {
  const { viewport: view } = session;
  const range = view.range.value;
  const selected = session.selection.value?.step;
  const tensor = session.selection.value?.tensor;
  if (!range) return false;
  const seen = selected !== undefined && selected >= range.from && selected < range.to;
  const about = seen ? selected + 0.5 : undefined;
  const actions: Record<string, () => void> = {
    "+": () => view.zoom(1 / ZOOM, about),
    "=": () => view.zoom(1 / ZOOM, about),
    w: () => view.zoom(1 / ZOOM, about),
    "-": () => view.zoom(ZOOM, about),
    s: () => view.zoom(ZOOM, about),
    a: () => view.panBy(-PAN),
    d: () => view.panBy(PAN),
    "0": () => view.reset(),
    f: () => selected !== undefined && view.goTo(selected),
    n: () => session.nextFinding(1),
    N: () => session.nextFinding(-1),
    l: () => session.nextAxis(),
    o: () => tensor !== undefined && session.rows.toggleAround(tensor),
    p: () => tensor !== undefined && session.rows.togglePin(tensor),
    "/": () => document.getElementById(FILTER_ID)?.focus(),
  };
  const action = actions[key];
  action?.();
  return action !== undefined;
}

function moveSelection(
  event: KeyboardEvent,
  session: Session,
  lines: Lines,
  timeline: Timeline,
): boolean {
  const selection = session.selection.value;
  const whole = session.whole.value;
  const rows = rowsOfCells(lines.lines);
  const row = rows.findIndex(({ tensors }) => tensors.some(({ id }) => id === selection?.tensor));
  const column = selection ? columnOfStep(timeline, selection.step) : -1;
  const far = event.ctrlKey || event.shiftKey;
  const seen = columnOfStep(timeline, Math.ceil(timeline.from));
  const from = { row: Math.max(0, row), column: column < 0 ? Math.max(0, seen) : column };
  const to = moveCursor(from, event.key, far, rows.length, timeline.columns);
  if (!to || !whole) return false;
  if (selection && row >= 0 && !inSight(timeline, selection.step)) {
    // The first key shows where one is before it moves on.
    session.viewport.include(selection.step);
    return true;
  }
  const place = row < 0 || column < 0 ? from : to;
  const ends: Record<string, number> = { Home: whole.from, End: whole.to - 1 };
  const step = ends[event.key] ?? stepsOfColumn(timeline, place.column)[0];
  // A row that is folded stands for its worst tensor, unless one moves along it.
  const target = rows[place.row];
  const kept = row === place.row ? selection?.tensor : undefined;
  const tensor = kept ?? (target && tensorAt(target.line, session.grids.gridAt(step), step)?.id);
  if (tensor === undefined) return false;
  session.select({ tensor, step });
  session.viewport.include(step);
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
    const line = lineOf(lines, tensor);
    const element = scroller.current;
    if (!line || !element || bodyHeight <= 0) return;
    const { scrollTop } = element;
    const [above, below] = [scrollTop - line.top, line.top + line.height - scrollTop - bodyHeight];
    // A neighbor scrolls a little, what is far away comes into the middle.
    if (Math.max(above, below) > 3 * line.height) {
      element.scrollTop = line.top - bodyHeight / 2;
    } else if (above > 0) element.scrollTop = line.top - line.height;
    else if (below > 0) element.scrollTop = line.top + 2 * line.height - bodyHeight;
  }, [tensor, bodyHeight > 0]);
}
