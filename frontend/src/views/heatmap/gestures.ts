/**
 * The gestures of the heatmap: wheel and pinch zoom, dragging pans, dragging on the axis zooms to a
 * range, and dragging with Shift selects one.
 */

import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { stepAt, type Timeline } from "../../model/timeline";
import type { StepViewport } from "../../state/viewport";

/** A shorter drag is a click with an unsteady hand. */
const DRAG_PIXELS = 4;
const LINE_PIXELS = 16;
const PAGE_PIXELS = 400;
/** A notch of a mouse wheel, about 100 pixels, zooms by a fifth. */
const WHEEL_ZOOM = 0.0018;
/** A trackpad's pinch comes as small wheel events with Ctrl. */
const PINCH_ZOOM = 0.01;

export interface GestureField {
  viewport: StepViewport;
  scroller: RefObject<HTMLDivElement | null>;
  /** The steps are laid out in it, the axis on top. */
  stage: RefObject<HTMLElement | null>;
  timeline: Timeline;
  /** Where the first visible step begins within it, and how high the axis is. */
  inset: number;
  axisHeight: number;
  /** Takes both ends of a range on the axis. */
  onRange: (one: number, other: number) => void;
}

export interface Gestures {
  /** Both ends of the brush in pixels. */
  brush: [number, number] | null;
  /** A drag is under way: it ends in no click, and nothing is hovered. */
  dragging: boolean;
  onPointerDown: (event: PointerEvent) => void;
  onPointerMove: (event: PointerEvent) => void;
  onPointerUp: (event: PointerEvent) => void;
  /** Whether a click ends a drag; each click asks once. */
  wasDrag: () => boolean;
}

interface Drag {
  kind: "pan" | "brush" | "range";
  startX: number;
  lastX: number;
  lastY: number;
  moved: boolean;
}

export function useGestures(field: GestureField): Gestures {
  const latest = useRef(field);
  latest.current = field;
  const drag = useRef<Drag | null>(null);
  const touches = useRef(new Map<number, number>());
  const endedDrag = useRef(false);
  const [brush, setBrush] = useState<[number, number] | null>(null);
  const [dragging, setDragging] = useState(false);

  const xOf = (clientX: number): number => {
    const { stage, inset } = latest.current;
    return clientX - (stage.current?.getBoundingClientRect().left ?? 0) - inset;
  };

  useEffect(() => {
    const scroller = latest.current.scroller.current;
    if (!scroller) return undefined;
    const onWheel = (event: WheelEvent) => {
      const { viewport, timeline } = latest.current;
      const x = xOf(event.clientX);
      // Over the labels the wheel scrolls them.
      if (x < 0 || event.altKey || timeline.pixelsPerUnit === 0) return;
      event.preventDefault();
      const unit = [1, LINE_PIXELS, PAGE_PIXELS][event.deltaMode] ?? 1;
      const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        viewport.pan((sideways * unit) / timeline.pixelsPerUnit);
      } else {
        const zoom = event.deltaY * unit * (event.ctrlKey ? PINCH_ZOOM : WHEEL_ZOOM);
        viewport.zoom(Math.exp(zoom), stepAt(timeline, x));
      }
    };
    // Only a listener that is not passive may keep the page from scrolling.
    scroller.addEventListener("wheel", onWheel, { passive: false });
    return () => scroller.removeEventListener("wheel", onWheel);
  }, []);

  return useMemo(() => {
    const move = (event: PointerEvent) => {
      const { viewport, scroller, timeline } = latest.current;
      const known = touches.current;
      if (known.size === 2 && known.has(event.pointerId)) {
        pinch(known, event, viewport, (clientX) => stepAt(timeline, xOf(clientX)));
        return;
      }
      const current = drag.current;
      if (!current) return;
      const x = xOf(event.clientX);
      if (
        !current.moved &&
        Math.hypot(x - current.startX, event.clientY - current.lastY) < DRAG_PIXELS
      ) {
        return;
      }
      if (!current.moved) (event.currentTarget as Element).setPointerCapture(event.pointerId);
      current.moved = true;
      setDragging(true);
      if (current.kind === "range") {
        latest.current.onRange(stepAt(timeline, current.startX), stepAt(timeline, x));
        return;
      }
      if (current.kind === "brush") {
        const ends = [current.startX, x].map((end) => Math.min(timeline.width, Math.max(0, end)));
        setBrush([Math.min(...ends), Math.max(...ends)]);
        return;
      }
      if (timeline.pixelsPerUnit > 0) {
        viewport.pan((current.lastX - x) / timeline.pixelsPerUnit);
      }
      if (scroller.current) scroller.current.scrollTop += current.lastY - event.clientY;
      current.lastX = x;
      current.lastY = event.clientY;
    };
    return {
      brush,
      dragging,
      onPointerDown(event: PointerEvent) {
        if (event.button !== 0) return;
        if (event.pointerType === "touch") touches.current.set(event.pointerId, event.clientX);
        const x = xOf(event.clientX);
        endedDrag.current = false;
        const { stage, axisHeight } = latest.current;
        const box = stage.current?.getBoundingClientRect();
        if (x < 0 || !box) return;
        const onAxis = event.clientY < box.top + axisHeight ? "brush" : "pan";
        const kind = event.shiftKey ? "range" : onAxis;
        drag.current = { kind, startX: x, lastX: x, lastY: event.clientY, moved: false };
      },
      onPointerMove: move,
      onPointerUp(event: PointerEvent) {
        touches.current.delete(event.pointerId);
        const current = drag.current;
        drag.current = null;
        if (!current?.moved) return;
        endedDrag.current = true;
        setDragging(false);
        setBrush(null);
        if (current.kind !== "brush" || event.type === "pointercancel") return;
        const { viewport, timeline } = latest.current;
        const ends = [current.startX, xOf(event.clientX)].map((x) =>
          stepAt(timeline, Math.min(timeline.width, Math.max(0, x))),
        );
        viewport.show({ from: Math.min(...ends), to: Math.max(...ends) });
      },
      wasDrag() {
        const was = endedDrag.current;
        endedDrag.current = false;
        return was;
      },
    };
  }, [brush, dragging]);
}

/** Two fingers: the steps between them stay between them. */
function pinch(
  touches: Map<number, number>,
  event: PointerEvent,
  viewport: StepViewport,
  stepAtClient: (clientX: number) => number,
): void {
  const distance = () => Math.abs([...touches.values()].reduce((a, b) => a - b));
  const before = distance();
  touches.set(event.pointerId, event.clientX);
  const after = distance();
  const middle = [...touches.values()].reduce((a, b) => a + b) / 2;
  if (before > 0 && after > 0) viewport.zoom(before / after, stepAtClient(middle));
}
