/** The keys of the heatmap, and how the selected row stays visible. */

import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import { moveCursor, rowsOfCells, type Selection } from "../../model/cursor";
import { LANE_HEIGHT, type Lines, lineOf, tensorAt } from "../../model/lanes";
import { extendedRange, type Steps } from "../../model/selected_range";
import { columnOfStep, isVisible, stepsOfColumn, type Timeline } from "../../model/timeline";
import type { HeatmapGrids } from "../../state/grids";
import type { Rows } from "../../state/rows";
import type { StepViewport } from "../../state/viewport";
import { FILTER_ID } from "../RowsBar";
import type { HeatmapActions } from "./actions";

const ZOOM = 1.5;
/** Share of the visible range. */
const PAN = 0.25;

/** What keys act on. */
export interface KeyField {
  actions: HeatmapActions;
  viewport: StepViewport;
  rows: Rows;
  grids: HeatmapGrids;
  selection: Selection | null;
  selectedRange: Steps | null;
  lines: Lines;
  timeline: Timeline;
}

/** Handles a key; true where it is one of the heatmap's. */
export function handleKey(event: KeyboardEvent, field: KeyField): boolean {
  const { actions, selection } = field;
  if (event.key === "Enter" && selection) {
    actions.showDetails();
    // The panel is shown by the next frame.
    requestAnimationFrame(() => document.getElementById("details")?.focus());
    return true;
  }
  if (event.key === "Escape" && (selection || field.selectedRange)) {
    if (field.selectedRange) actions.selectRange(null);
    else actions.select(null);
    return true;
  }
  if (event.altKey || event.metaKey) return false;
  if (!event.ctrlKey && handleLetter(event.key, field)) return true;
  return moveSelection(event, field);
}

/** Zoom and pan as in Perfetto, and keys of findings and rows. */
function handleLetter(key: string, { actions, viewport, rows, selection }: KeyField): boolean {
  const range = viewport.range.value;
  if (!range) return false;
  const isVisible = selection && selection.step >= range.from && selection.step < range.to;
  const center = isVisible ? selection.step + 0.5 : undefined;
  const effects: Record<string, () => void> = {
    "+": () => viewport.zoom(1 / ZOOM, center),
    "=": () => viewport.zoom(1 / ZOOM, center),
    w: () => viewport.zoom(1 / ZOOM, center),
    "-": () => viewport.zoom(ZOOM, center),
    s: () => viewport.zoom(ZOOM, center),
    a: () => viewport.panBy(-PAN),
    d: () => viewport.panBy(PAN),
    "0": () => viewport.reset(),
    f: () => selection && viewport.goTo(selection.step),
    n: () => actions.nextFinding(1),
    N: () => actions.nextFinding(-1),
    l: () => actions.nextAxis(),
    o: () => selection && rows.toggleAround(selection.tensor),
    p: () => selection && rows.togglePin(selection.tensor),
    "/": () => document.getElementById(FILTER_ID)?.focus(),
  };
  const effect = effects[key];
  effect?.();
  return effect !== undefined;
}

function moveSelection(event: KeyboardEvent, field: KeyField): boolean {
  const { actions, viewport, grids, selection, lines, timeline } = field;
  const allSteps = viewport.allSteps.value;
  const rows = rowsOfCells(lines.lines);
  const row = rows.findIndex(({ tensors }) => tensors.some(({ id }) => id === selection?.tensor));
  const column = selection ? columnOfStep(timeline, selection.step) : -1;
  const firstVisible = columnOfStep(timeline, Math.ceil(timeline.from));
  const from = { row: Math.max(0, row), column: column < 0 ? Math.max(0, firstVisible) : column };
  const isExtended = event.shiftKey && /^Arrow(Left|Right)$/.test(event.key);
  const isFar = event.ctrlKey || (event.shiftKey && !isExtended);
  const to = moveCursor(from, event.key, isFar, rows.length, timeline.columns);
  if (!to || !allSteps) return false;
  if (selection && row >= 0 && !isVisible(timeline, selection.step)) {
    // The first key shows the selection before the next one moves it.
    viewport.include(selection.step);
    return true;
  }
  const target = row < 0 || column < 0 ? from : to;
  const ends: Record<string, number> = { Home: allSteps.from, End: allSteps.to - 1 };
  const step = ends[event.key] ?? stepsOfColumn(timeline, target.column)[0];
  // A closed row shows its largest value, unless one moves along it.
  const line = rows[target.row]?.line;
  const same = row === target.row ? selection?.tensor : undefined;
  const tensor = same ?? (line && tensorAt(line, grids.gridAt(step), step)?.id);
  if (tensor === undefined) return false;
  if (isExtended && selection) {
    const head = stepsOfColumn(timeline, from.column);
    const steps = stepsOfColumn(timeline, target.column);
    const range = field.selectedRange;
    const isWithin = range && range[0] <= selection.step && selection.step <= range[1];
    actions.selectRange(extendedRange(isWithin ? range : null, head, steps));
  }
  actions.select({ tensor, step });
  viewport.include(step);
  return true;
}

/** Scrolls the selected row into view when another one is selected, or the same revealed again. */
export function useRowInView(
  scroller: RefObject<HTMLDivElement | null>,
  selection: Selection | null,
  lines: Lines,
  height: number,
  revealed: number,
): void {
  const tensor = selection?.tensor;
  // Only another selection scrolls: a reload must not.
  useEffect(() => {
    const line = lineOf(lines, tensor);
    const element = scroller.current;
    if (!line || !element || height <= 0) return;
    const { scrollTop } = element;
    // The header of the row's lane may stay on top of it.
    const above = scrollTop + (line.top < LANE_HEIGHT ? 0 : LANE_HEIGHT) - line.top;
    const below = line.top + line.height - scrollTop - height;
    // A row nearby scrolls a little, one far away comes into the middle.
    if (Math.max(above, below) > 3 * line.height) element.scrollTop = line.top - height / 2;
    else if (above > 0) element.scrollTop = line.top - line.height - LANE_HEIGHT;
    else if (below > 0) element.scrollTop = line.top + 2 * line.height - height;
  }, [tensor, height > 0, revealed]);
}
