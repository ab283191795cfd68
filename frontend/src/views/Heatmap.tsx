/** The heatmap: a scrolled picture of cells beside their labels, moved about by mouse and keys. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { AXIS_HEIGHT, drawAxis } from "../draw/axis";
import { drawHeatmap } from "../draw/heatmap";
import { moved, shownTensors } from "../model/cursor";
import { type Lines, layLines, lineAt } from "../model/lanes";
import {
  columnAt,
  columnOfStep,
  stepsOfColumn,
  type Timeline,
  timelineOf,
} from "../model/timeline";
import type { Session } from "../state/session";
import type { RunDetail } from "../wire/answers";
import { Announcement } from "./Announcement";
import { Labels } from "./Labels";
import { Failure, Loading } from "./notices";
import { useSize } from "./size";
import { type Hovered, Tooltip } from "./Tooltip";

/** Room at the right end, so that the last cell's outline is not cut. */
const MARGIN = 12;
/** Asked for in such steps, so that dragging a window's edge does not ask at every pixel. */
const COLUMN_QUANTUM = 64;
const LEAST_COLUMN_WIDTH = 2;

export function Heatmap({ session, detail }: { session: Session; detail: RunDetail }) {
  const scroller = useRef<HTMLDivElement>(null);
  const cells = useRef<HTMLCanvasElement>(null);
  const axis = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(scroller);
  const [scrollTop, setScrollTop] = useState(0);
  const [hovered, setHovered] = useState<Hovered | null>(null);

  const labelWidth = labelWidthFor(width);
  const plotWidth = Math.max(0, width - labelWidth - MARGIN);
  const bodyHeight = Math.max(0, height - AXIS_HEIGHT);
  const grid = session.grid.value.value;
  const magnitude = session.magnitude.value;
  const lanes = session.lanes.value;
  const closed = session.closed.value;
  const selection = session.selection.value;
  const theme = session.theme.value;
  const firstStep = detail.first_nonfinite?.step ?? null;
  const lines = useMemo(() => layLines(lanes, closed, bodyHeight), [lanes, closed, bodyHeight]);
  const timeline = useMemo(() => timelineOf(grid?.edges ?? [], plotWidth), [grid, plotWidth]);

  useEffect(() => {
    const wanted = Math.ceil(plotWidth / LEAST_COLUMN_WIDTH / COLUMN_QUANTUM) * COLUMN_QUANTUM;
    if (plotWidth > 0) session.columns.value = Math.min(4096, wanted);
  }, [plotWidth, session]);

  useDensityRepaint();
  useLayoutEffect(() => {
    if (!cells.current || !axis.current || !grid || !magnitude) return;
    const shown = Math.min(bodyHeight, lines.height - scrollTop);
    drawHeatmap(cells.current, {
      ...{ grid, lines, timeline, magnitude, theme, scrollTop, selection, firstStep },
      width: plotWidth + MARGIN,
      height: shown,
    });
    const selectedStep = selection?.step ?? null;
    drawAxis(axis.current, { timeline, theme, width: plotWidth + MARGIN, selectedStep, firstStep });
  });

  useRowInView(scroller, session, lines, bodyHeight);

  const pointAt = (event: PointerEvent | MouseEvent): Hovered | null => {
    const box = cells.current?.getBoundingClientRect();
    if (!box) return null;
    const line = lineAt(lines, event.clientY - box.top + scrollTop);
    const column = columnAt(timeline, event.clientX - box.left);
    if (event.clientY < box.top || line?.kind !== "tensor" || column < 0) return null;
    const steps = stepsOfColumn(timeline, column);
    return { tensor: line.tensor, column, steps, x: event.clientX, y: event.clientY };
  };
  const onClick = (event: MouseEvent) => {
    const point = pointAt(event);
    if (!point) return;
    session.select({ tensor: point.tensor.id, step: point.steps[0] });
    scroller.current?.focus({ preventScroll: true });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    if (handleKey(event, session, lines, timeline)) event.preventDefault();
  };

  const error = session.grid.error.value;
  if (error && !session.grid.loading.value) {
    return <Failure what="The heatmap" message={error} onRetry={() => session.reload()} />;
  }
  return (
    <section class="heatmap" aria-label="Heatmap" aria-busy={session.grid.loading.value}>
      <div
        class="scroller"
        ref={scroller}
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes the arrow keys.
        tabIndex={0}
        aria-roledescription="heatmap"
        aria-label={`${detail.tensors.length} tensors by step`}
        aria-describedby="heatmap-keys"
        onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
        onKeyDown={onKeyDown}
        onClick={onClick}
        onPointerMove={(event) => setHovered(pointAt(event))}
        onPointerLeave={() => setHovered(null)}
      >
        <div class="sizer" style={{ height: `${AXIS_HEIGHT + lines.height}px` }}>
          <div class="stage" style={{ height: `${height}px` }}>
            <canvas class="axis" ref={axis} style={{ left: `${labelWidth}px` }} />
            <div class="plot" style={{ top: `${AXIS_HEIGHT}px` }}>
              <Labels
                session={session}
                lines={lines}
                scrollTop={scrollTop}
                height={bodyHeight}
                width={labelWidth}
                hovered={hovered?.tensor.id}
              />
              <canvas class="cells" ref={cells} style={{ left: `${labelWidth}px` }} />
            </div>
          </div>
        </div>
      </div>
      {!grid && <Loading what="Loading…" />}
      <p id="heatmap-keys" class="keys">
        <kbd>←</kbd>
        <kbd>→</kbd> steps <kbd>↑</kbd>
        <kbd>↓</kbd> tensors <kbd>Home</kbd>
        <kbd>End</kbd> ends <kbd>Enter</kbd> details <kbd>Esc</kbd> clear
      </p>
      {hovered && grid && <Tooltip session={session} grid={grid} hovered={hovered} />}
      <Announcement session={session} />
    </section>
  );
}

/** Labels take what they need of a wide page and no more than a third of a narrow one. */
function labelWidthFor(width: number): number {
  return Math.round(Math.min(300, Math.max(150, width * 0.3)));
}

/** Acts upon a key; true where it was one of the heatmap's. */
function handleKey(
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
function useRowInView(
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

/** Paints again when the page moves to a screen of another density, or is zoomed. */
function useDensityRepaint(): void {
  const [density, setDensity] = useState(window.devicePixelRatio);
  useEffect(() => {
    const query = window.matchMedia(`(resolution: ${density}dppx)`);
    const listener = () => setDensity(window.devicePixelRatio);
    query.addEventListener("change", listener);
    return () => query.removeEventListener("change", listener);
  }, [density]);
}
