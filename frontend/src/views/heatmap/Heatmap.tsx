/** The heatmap: a scrolled picture of cells beside their labels, moved about by mouse and keys. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import {
  AXIS_HEIGHT,
  drawAxis,
  type FindingMarker,
  markerAt,
  severityColor,
} from "../../draw/axis";
import { GUTTER } from "../../draw/canvas";
import type { ExportImage } from "../../draw/export_image";
import { drawHeatmap, type MarkedStep } from "../../draw/heatmap";
import { statisticWord } from "../../model/cell_text";
import type { RunCurve } from "../../model/curves";
import { layLines, lineAt, tensorAt } from "../../model/lanes";
import { visibleName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import {
  columnOfStep,
  stepAt,
  stepsOfColumn,
  type Timeline,
  timelineOf,
  xOfStep,
} from "../../model/timeline";
import type { Session } from "../../state/session";
import type { RunDetail } from "../../wire/answers";
import { Failure, Loading } from "../notices";
import { useSize } from "../size";
import { Announcement } from "./Announcement";
import { PANE_HEADER_HEIGHT, Pane, PaneHeader } from "./ComparedPane";
import { CURVE_HEIGHT, Curves } from "./Curves";
import { Export } from "./Export";
import { useGestures } from "./gestures";
import { handleKey, useRowInView } from "./keys";
import { NonfiniteTable } from "./NonfiniteTable";
import { RowLabels } from "./RowLabels";
import { type Hovered, Tooltip } from "./Tooltip";

/** Room at the right end, so that the last cell's outline is not cut. */
const MARGIN = 12;
/** Asked for in such steps, so that dragging a window's edge does not ask at every pixel. */
const COLUMN_QUANTUM = 64;
const LEAST_COLUMN_WIDTH = 2;
const LEAST_BODY = 120;
const NO_CURVES: readonly RunCurve[] = [];
const LEAST_PANE = 70;

interface HeatmapProps {
  session: Session;
  detail: RunDetail;
}

export function Heatmap({ session, detail }: HeatmapProps) {
  const error = session.grids.error.value;
  if (error && session.grids.layers.value.length === 0) {
    return <Failure what="The heatmap" message={error} onRetry={() => session.reload()} />;
  }
  return <Picture session={session} detail={detail} />;
}

function Picture({ session, detail }: HeatmapProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const plot = useRef<HTMLDivElement>(null);
  const cells = useRef<HTMLCanvasElement>(null);
  const axis = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(scroller);
  const [scrollTop, setScrollTop] = useState(0);
  const [hovered, setHovered] = useState<Hovered | null>(null);

  const labelWidth = labelWidthFor(width);
  const plotWidth = Math.max(0, width - labelWidth - MARGIN);
  const curves = session.curves.value ? session.runCurves.value.value : NO_CURVES;
  // They give way where little would be left of the heatmap.
  const room = height - AXIS_HEIGHT - curves.length * CURVE_HEIGHT;
  const shownCurves = room >= LEAST_BODY ? curves : NO_CURVES;
  const headHeight = AXIS_HEIGHT + shownCurves.length * CURVE_HEIGHT;
  const compared = session.compared.value;
  // Each run beside the chosen one has the same rows, under a strip with its name.
  const paneHead = compared.length > 0 ? PANE_HEADER_HEIGHT : 0;
  const paneHeight = Math.max(
    compared.length > 0 ? LEAST_PANE : 0,
    Math.floor((height - headHeight) / (compared.length + 1)) - paneHead,
  );
  const bodyHeight = Math.max(0, paneHeight);
  const paneTop = (pane: number) => headHeight + paneHead + pane * (paneHeight + paneHead);
  const layers = session.grids.layers.value;
  const magnitude = session.grids.magnitude.value;
  const { rows } = session;
  const lanes = rows.lanes.value;
  const folds = rows.folds.value;
  const selection = session.selection.value;
  const theme = session.theme.value;
  const range = session.viewport.range.value;
  const scale = session.viewport.scale.value;
  const lines = useMemo(
    () => layLines(lanes, (item) => rows.isOpen(item), bodyHeight),
    [lanes, folds, bodyHeight],
  );
  const edges = layers.at(-1)?.edges;
  const timeline = useMemo(
    () => timelineOf(edges ?? [], plotWidth, range ?? undefined, scale),
    [edges, plotWidth, range, scale],
  );
  const markers = useFindingMarkers(session, detail);
  const gestures = useGestures({
    ...{ session, scroller, stage, timeline },
    inset: labelWidth,
    axisHeight: AXIS_HEIGHT,
  });

  useEffect(() => {
    const wanted = Math.ceil(plotWidth / LEAST_COLUMN_WIDTH / COLUMN_QUANTUM) * COLUMN_QUANTUM;
    if (plotWidth > 0) session.grids.columns.value = wanted;
  }, [plotWidth, session]);

  const picture = useMemo(() => {
    if (!magnitude) return null;
    const shown = Math.min(bodyHeight, lines.height - scrollTop);
    const marked: MarkedStep[] = markers
      .filter(({ active }) => active)
      .map(({ step, severity }) => ({ step, color: severityColor(theme, severity) }));
    const known = { layers, lines, timeline, magnitude, theme, scrollTop, selection, marked };
    return { ...known, width: plotWidth + MARGIN, height: shown };
  }, [
    layers,
    lines,
    timeline,
    magnitude,
    theme,
    scrollTop,
    selection,
    markers,
    bodyHeight,
    plotWidth,
  ]);
  const density = useDensity();
  // Not at every render: the pointer's moves change nothing of the picture.
  useLayoutEffect(() => {
    if (cells.current && picture) drawHeatmap(cells.current, picture);
  }, [picture, density]);
  useLayoutEffect(() => {
    if (!axis.current || !picture) return;
    const selectedStep = picture.selection?.step ?? null;
    drawAxis(axis.current, { ...picture, markers, selectedStep, brush: gestures.brush });
  }, [picture, density, markers, gestures.brush]);
  useRowInView(scroller, session, lines, bodyHeight);

  const pointAt = (event: PointerEvent | MouseEvent): Hovered | null => {
    const box = plot.current?.getBoundingClientRect();
    if (!box || event.clientY < box.top) return null;
    const pane = Math.floor((event.clientY - box.top) / (paneHeight + paneHead || 1));
    const y = event.clientY - box.top - pane * (paneHeight + paneHead);
    if (pane > compared.length || y >= paneHeight) return null;
    const line = lineAt(lines, y + scrollTop);
    const beside = compared[pane - 1];
    const shown = beside?.grids ?? session.grids;
    const steps = stepsAt(shown, timeline, event.clientX - box.left - labelWidth);
    const tensor = line && steps && tensorAt(line, shown.gridAt(steps[0]), steps[0]);
    if (!tensor || !steps) return null;
    return { tensor, steps, x: event.clientX, y: event.clientY, beside };
  };
  const onClick = (event: MouseEvent) => {
    if (gestures.wasDrag()) return;
    const flag = markerUnder(event);
    if (flag >= 0) session.chooseFinding(flag);
    const point = pointAt(event);
    if (!point) return;
    session.select({ tensor: point.tensor.id, step: point.steps[0] }, point.beside);
    scroller.current?.focus({ preventScroll: true });
  };
  const markerUnder = (event: MouseEvent): number => {
    const box = axis.current?.getBoundingClientRect();
    if (!box || event.clientY > box.bottom) return -1;
    return markerAt(markers, timeline, event.clientX - box.left - GUTTER, event.clientY - box.top);
  };
  const onPointerMove = (event: PointerEvent) => {
    gestures.onPointerMove(event);
    setHovered(gestures.dragging ? null : pointAt(event));
    if (axis.current) axis.current.style.cursor = markerUnder(event) >= 0 ? "pointer" : "";
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    if (handleKey(event, session, lines, timeline)) event.preventDefault();
  };

  const exportImage = (): ExportImage => {
    const box = stage.current?.getBoundingClientRect();
    const title = document.querySelector("h1")?.textContent ?? "";
    return {
      ...{ title, theme, lines, scrollTop, labelWidth },
      subtitle: `${detail.run} · ${statisticWord(session.grids.statistic.value)}`,
      width,
      height:
        compared.length > 0 ? height : Math.min(height, headHeight + lines.height - scrollTop),
      top: headHeight,
      bodyHeight: paneHeight,
      panes:
        compared.length > 0
          ? [detail.run, ...compared.map(({ run }) => run)].map((run, pane) => ({
              text: visibleName(run),
              middle: paneTop(pane) - PANE_HEADER_HEIGHT / 2,
              top: paneTop(pane),
            }))
          : [],
      names: shownCurves.map(({ label }, index) => ({
        text: label,
        middle: AXIS_HEIGHT + (index + 0.5) * CURVE_HEIGHT,
      })),
      pictures: [...(stage.current?.querySelectorAll("canvas") ?? [])].map((canvas) => {
        const place = canvas.getBoundingClientRect();
        return { canvas, left: place.left - (box?.left ?? 0), top: place.top - (box?.top ?? 0) };
      }),
    };
  };

  return (
    <section class="heatmap" aria-label="Heatmap" aria-busy={session.grids.loading.value}>
      <div
        class={`scroller ${gestures.dragging ? "dragging" : ""}`}
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
        onDblClick={(event) =>
          event.target instanceof HTMLCanvasElement && session.viewport.reset()
        }
        onPointerDown={gestures.onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={gestures.onPointerUp}
        onPointerCancel={gestures.onPointerUp}
        onPointerLeave={() => setHovered(null)}
      >
        <div
          class="sizer"
          style={{
            height: `${height + Math.max(0, lines.height - paneHeight)}px`,
          }}
        >
          <div class="stage" ref={stage} style={{ height: `${height}px` }}>
            <VisibleRange session={session} width={labelWidth} />
            <canvas class="axis" ref={axis} style={{ left: `${labelWidth - GUTTER}px` }} />
            <Curves
              {...{ session, timeline, labelWidth }}
              curves={shownCurves}
              top={AXIS_HEIGHT}
              width={plotWidth + MARGIN}
              step={hovered?.steps[0] ?? selection?.step ?? null}
            />
            {compared.length > 0 && (
              <PaneHeader top={headHeight} run={detail.run} chosen session={session} />
            )}
            <div
              class="plot"
              ref={plot}
              style={{ top: `${paneTop(0)}px`, height: `${paneHeight}px` }}
            >
              <RowLabels
                session={session}
                lines={lines}
                scrollTop={scrollTop}
                height={bodyHeight}
                width={labelWidth}
                hovered={hovered?.tensor.id}
              />
              <canvas class="cells" ref={cells} style={{ left: `${labelWidth - GUTTER}px` }} />
            </div>
            {picture &&
              compared.map((one, index) => (
                <Pane
                  key={one.run}
                  session={session}
                  compared={one}
                  picture={picture}
                  top={paneTop(index + 1)}
                  labelWidth={labelWidth}
                  hovered={hovered?.tensor.id}
                />
              ))}
            {hovered && (
              <i
                class="linked"
                style={{
                  left: `${labelWidth + xOfStep(timeline, (hovered.steps[0] + hovered.steps[1] + 1) / 2)}px`,
                  top: `${AXIS_HEIGHT}px`,
                }}
              />
            )}
          </div>
        </div>
      </div>
      {layers.length === 0 && <Loading what="Loading…" />}
      {rows.shown.value.length === 0 && (
        <p class="nothing-shown">
          No tensor matches.{" "}
          <button type="button" onClick={() => rows.showAll()}>
            Show all
          </button>
        </p>
      )}
      <p id="heatmap-keys" class="keys">
        <span>
          <kbd>wheel</kbd> zoom <kbd>drag</kbd> pan
        </span>
        <span>
          <kbd>←</kbd>
          <kbd>→</kbd> steps <kbd>↑</kbd>
          <kbd>↓</kbd> tensors
        </span>
        <Export session={session} exportImage={exportImage} />
        <button type="button" class="link" onClick={() => (session.help.value = true)}>
          <kbd>?</kbd> all keys
        </button>
      </p>
      {hovered && !gestures.dragging && <Tooltip session={session} hovered={hovered} />}
      <Announcement session={session} />
      <NonfiniteTable tensors={detail.tensors} />
    </section>
  );
}

/** What is in sight of a run that was zoomed, and the way back. */
function VisibleRange({ session, width }: { session: Session; width: number }) {
  const range = session.viewport.chosen.value && session.viewport.range.value;
  if (!range) return null;
  return (
    <p class="visible-range" style={{ width: `${width}px` }}>
      <span>
        {formatCount(Math.floor(range.from))}–{formatCount(Math.ceil(range.to) - 1)}
      </span>
      <button type="button" onClick={() => session.viewport.reset()}>
        Whole run
      </button>
    </p>
  );
}

function useFindingMarkers(session: Session, detail: RunDetail): FindingMarker[] {
  const findings = session.findings.value.value?.findings;
  const chosen = session.finding.value;
  const first = detail.first_nonfinite;
  return useMemo(() => {
    if (findings && findings.length > 0) {
      return findings.map(({ step, severity }, index) => {
        const text = `step ${formatCount(step)}`;
        return { step, severity, text, active: index === chosen };
      });
    }
    if (!first) return [];
    const text = `first non-finite: step ${formatCount(first.step)}`;
    return [{ step: first.step, severity: "error" as const, text, active: true }];
  }, [findings, chosen, first]);
}

/** First and last step of the cell at a pixel; undefined where there is none. */
function stepsAt(
  picture: Pick<Session["grids"], "gridAt">,
  timeline: Timeline,
  x: number,
): [number, number] | undefined {
  if (x < 0 || x >= timeline.width) return undefined;
  const step = Math.floor(stepAt(timeline, x));
  const grid = picture.gridAt(step);
  if (!grid) return undefined;
  const { edges } = grid;
  return stepsOfColumn(grid, columnOfStep({ edges, columns: edges.length - 1 }, step));
}

/** RowLabels take what they need of a wide page and no more than a third of a narrow one. */
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
