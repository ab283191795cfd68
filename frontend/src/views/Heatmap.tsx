/** The heatmap: a scrolled picture of cells beside their labels, moved about by mouse and keys. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { AXIS_HEIGHT, drawAxis } from "../draw/axis";
import { GUTTER } from "../draw/canvas";
import { drawHeatmap } from "../draw/heatmap";
import { layLines, lineAt } from "../model/lanes";
import { columnAt, stepsOfColumn, timelineOf } from "../model/timeline";
import type { Session } from "../state/session";
import type { RunDetail } from "../wire/answers";
import { Announcement } from "./Announcement";
import { handleKey, useRowInView } from "./keys";
import { Labels } from "./Labels";
import { Failure, Loading } from "./notices";
import { useSize } from "./size";
import { type Hovered, Tooltip } from "./Tooltip";

/** Room at the right end, so that the last cell's outline is not cut. */
const MARGIN = 12;
/** Asked for in such steps, so that dragging a window's edge does not ask at every pixel. */
const COLUMN_QUANTUM = 64;
const LEAST_COLUMN_WIDTH = 2;

interface HeatmapProps {
  session: Session;
  detail: RunDetail;
}

export function Heatmap({ session, detail }: HeatmapProps) {
  const error = session.grid.error.value;
  if (error) {
    return <Failure what="The heatmap" message={error} onRetry={() => session.reload()} />;
  }
  return <Picture session={session} detail={detail} />;
}

function Picture({ session, detail }: HeatmapProps) {
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

  const picture = useMemo(() => {
    if (!grid || !magnitude) return null;
    const known = { grid, lines, timeline, magnitude, theme, scrollTop, selection, firstStep };
    const shown = Math.min(bodyHeight, lines.height - scrollTop);
    return { ...known, width: plotWidth + MARGIN, height: shown };
  }, [
    grid,
    lines,
    timeline,
    magnitude,
    theme,
    scrollTop,
    selection,
    firstStep,
    bodyHeight,
    plotWidth,
  ]);
  const density = useDensity();
  // Not at every render: the pointer's moves change nothing of the picture.
  useLayoutEffect(() => {
    if (!cells.current || !axis.current || !picture) return;
    drawHeatmap(cells.current, picture);
    drawAxis(axis.current, { ...picture, selectedStep: picture.selection?.step ?? null });
  }, [picture, density]);
  useRowInView(scroller, session, lines, bodyHeight);

  const pointAt = (event: PointerEvent | MouseEvent): Hovered | null => {
    const box = cells.current?.getBoundingClientRect();
    if (!box) return null;
    const line = lineAt(lines, event.clientY - box.top + scrollTop);
    const column = columnAt(timeline, event.clientX - box.left - GUTTER);
    if (event.clientY < box.top || line?.kind !== "tensor" || column < 0) return null;
    const steps = stepsOfColumn(timeline, column);
    return { tensor: line.tensor, steps, x: event.clientX, y: event.clientY };
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
            <canvas class="axis" ref={axis} style={{ left: `${labelWidth - GUTTER}px` }} />
            <div class="plot" style={{ top: `${AXIS_HEIGHT}px` }}>
              <Labels
                session={session}
                lines={lines}
                scrollTop={scrollTop}
                height={bodyHeight}
                width={labelWidth}
                hovered={hovered?.tensor.id}
              />
              <canvas class="cells" ref={cells} style={{ left: `${labelWidth - GUTTER}px` }} />
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

/** Device pixels of a CSS pixel; it changes with the screen that the page is on, and its zoom. */
function useDensity(): number {
  const [density, setDensity] = useState(window.devicePixelRatio);
  useEffect(() => {
    const query = window.matchMedia(`(resolution: ${density}dppx)`);
    const listener = () => setDensity(window.devicePixelRatio);
    query.addEventListener("change", listener);
    return () => query.removeEventListener("change", listener);
  }, [density]);
  return density;
}
