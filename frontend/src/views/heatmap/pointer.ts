/** What the pointer hovers, and what a click selects. */

import type { RefObject } from "preact";
import { useState } from "preact/hooks";
import type { HeatmapActions } from "./actions";
import type { Gestures } from "./gestures";
import { cellUnder, type HitField, type HoveredCell, markerUnder } from "./hit_test";

interface PointerHandlers {
  hovered: HoveredCell | null;
  onClick: (event: MouseEvent) => void;
  onPointerDown: (event: PointerEvent) => void;
  onPointerMove: (event: PointerEvent) => void;
  onPointerLeave: () => void;
}

export function usePointer(
  field: HitField,
  gestures: Gestures,
  scroller: RefObject<HTMLDivElement | null>,
  actions: HeatmapActions,
): PointerHandlers {
  const [hovered, setHovered] = useState<HoveredCell | null>(null);
  const onClick = (event: MouseEvent) => {
    if (gestures.wasDrag()) return;
    const finding = markerUnder(event, field);
    if (finding >= 0) actions.chooseFinding(finding);
    const cell = cellUnder(event, field);
    if (!cell) return;
    actions.select({ tensor: cell.tensor.id, step: cell.steps[0] }, cell.compared);
    scroller.current?.focus({ preventScroll: true });
  };
  const onPointerDown = (event: PointerEvent) => {
    gestures.onPointerDown(event);
    // A range of steps is of the tensor on whose row it begins.
    const cell = event.shiftKey && event.button === 0 && cellUnder(event, field);
    if (cell) actions.select({ tensor: cell.tensor.id, step: cell.steps[0] }, cell.compared);
  };
  const onPointerMove = (event: PointerEvent) => {
    gestures.onPointerMove(event);
    setHovered(gestures.dragging ? null : cellUnder(event, field));
    const axis = field.axis.current;
    if (axis) axis.style.cursor = markerUnder(event, field) >= 0 ? "pointer" : "";
  };
  return { hovered, onClick, onPointerDown, onPointerMove, onPointerLeave: () => setHovered(null) };
}
