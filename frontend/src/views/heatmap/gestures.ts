/** The heatmap by mouse and touch: wheel and pinch zoom, dragging pans, the axis is brushed. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { stepAt, type Timeline } from "../../model/timeline";
import type { Session } from "../../state/session";

/** Less is a click with an unsteady hand. */
const DRAG_PIXELS = 4;
const LINE_PIXELS = 16;
const PAGE_PIXELS = 400;
/** A notch of a mouse wheel, about 100 pixels, shows a fifth more or less. */
const WHEEL_ZOOM = 0.0018;
/** A trackpad's pinch comes as small wheel events with Ctrl. */
const PINCH_ZOOM = 0.01;

export interface Field {
  session: Session;
  scroller: { current: HTMLDivElement | null };
  /** What the steps are laid out upon, the axis on top. */
  stage: { current: HTMLElement | null };
  timeline: Timeline;
  /** Where the first step in sight begins within it, and how high the axis is. */
  inset: number;
  axisHeight: number;
}

export interface Gestures {
  /** Both ends in pixels of what is being brushed. */
  brush: [number, number] | null;
  /** Something is held and was moved: what follows is no click and no hovering. */
  dragging: boolean;
  onPointerDown: (event: PointerEvent) => void;
  onPointerMove: (event: PointerEvent) => void;
  onPointerUp: (event: PointerEvent) => void;
  /** To be asked once by each click. */
  wasDrag: () => boolean;
}

interface Held {
  kind: "pan" | "brush";
  startX: number;
  lastX: number;
  lastY: number;
  moved: boolean;
}

export function useGestures(field: Field): Gestures {
  const latest = useRef(field);
  latest.current = field;
  const held = useRef<Held | null>(null);
  const touches = useRef(new Map<number, number>());
  const dragged = useRef(false);
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
      const { session, timeline } = latest.current;
      const x = xOf(event.clientX);
      // Over the labels the wheel scrolls them.
      if (x < 0 || event.altKey || timeline.pixelsPerUnit === 0) return;
      event.preventDefault();
      const unit = [1, LINE_PIXELS, PAGE_PIXELS][event.deltaMode] ?? 1;
      const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        session.viewport.pan((sideways * unit) / timeline.pixelsPerUnit);
      } else {
        const zoom = event.deltaY * unit * (event.ctrlKey ? PINCH_ZOOM : WHEEL_ZOOM);
        session.viewport.zoom(Math.exp(zoom), stepAt(timeline, x));
      }
    };
    // Only a listener that is not passive may keep the page from scrolling.
    scroller.addEventListener("wheel", onWheel, { passive: false });
    return () => scroller.removeEventListener("wheel", onWheel);
  }, []);

  return useMemo(() => {
    const move = (event: PointerEvent) => {
      const { session, scroller, timeline } = latest.current;
      const known = touches.current;
      if (known.size === 2 && known.has(event.pointerId)) {
        pinch(known, event, session, (clientX) => stepAt(timeline, xOf(clientX)));
        return;
      }
      const hold = held.current;
      if (!hold) return;
      const x = xOf(event.clientX);
      if (!hold.moved && Math.hypot(x - hold.startX, event.clientY - hold.lastY) < DRAG_PIXELS) {
        return;
      }
      if (!hold.moved) (event.currentTarget as Element).setPointerCapture(event.pointerId);
      hold.moved = true;
      setDragging(true);
      if (hold.kind === "brush") {
        const ends = [hold.startX, x].map((end) => Math.min(timeline.width, Math.max(0, end)));
        setBrush([Math.min(...ends), Math.max(...ends)]);
        return;
      }
      if (timeline.pixelsPerUnit > 0) {
        session.viewport.pan((hold.lastX - x) / timeline.pixelsPerUnit);
      }
      if (scroller.current) scroller.current.scrollTop += hold.lastY - event.clientY;
      hold.lastX = x;
      hold.lastY = event.clientY;
    };
    return {
      brush,
      dragging,
      onPointerDown(event: PointerEvent) {
        if (event.button !== 0) return;
        if (event.pointerType === "touch") touches.current.set(event.pointerId, event.clientX);
        const x = xOf(event.clientX);
        dragged.current = false;
        const { stage, axisHeight } = latest.current;
        const box = stage.current?.getBoundingClientRect();
        if (x < 0 || !box) return;
        const kind = event.clientY < box.top + axisHeight ? "brush" : "pan";
        held.current = { kind, startX: x, lastX: x, lastY: event.clientY, moved: false };
      },
      onPointerMove: move,
      onPointerUp(event: PointerEvent) {
        touches.current.delete(event.pointerId);
        const hold = held.current;
        held.current = null;
        if (!hold?.moved) return;
        dragged.current = true;
        setDragging(false);
        setBrush(null);
        if (hold.kind === "pan" || event.type === "pointercancel") return;
        const { session, timeline } = latest.current;
        const ends = [hold.startX, xOf(event.clientX)].map((x) =>
          stepAt(timeline, Math.min(timeline.width, Math.max(0, x))),
        );
        session.viewport.show({ from: Math.min(...ends), to: Math.max(...ends) });
      },
      wasDrag() {
        const was = dragged.current;
        dragged.current = false;
        return was;
      },
    };
  }, [brush, dragging]);
}

/** Two fingers: what is between them stays between them. */
function pinch(
  touches: Map<number, number>,
  event: PointerEvent,
  session: Session,
  stepAtClient: (clientX: number) => number,
): void {
  const apart = () => Math.abs([...touches.values()].reduce((a, b) => a - b));
  const before = apart();
  touches.set(event.pointerId, event.clientX);
  const after = apart();
  const middle = [...touches.values()].reduce((a, b) => a + b) / 2;
  if (before > 0 && after > 0) session.viewport.zoom(before / after, stepAtClient(middle));
}
