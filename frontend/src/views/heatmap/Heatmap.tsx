/** The heatmap: scrolled rows of cells beside their labels, below the axis and the curves. */

import { useMemo, useRef, useState } from "preact/hooks";
import type { CellCache } from "../../api/answer_cache";
import { AXIS_HEIGHT } from "../../draw/axis";
import { GUTTER } from "../../draw/canvas";
import type { ExportImage } from "../../draw/export_image";
import { statisticLabel } from "../../model/cell_text";
import type { RunTensors } from "../../model/comparison";
import type { Selection } from "../../model/cursor";
import type { RunCurve } from "../../model/curves";
import { codeInOneLine, type Origin, primaryFinding } from "../../model/findings";
import { layLines } from "../../model/lanes";
import { formatCounted } from "../../model/numbers";
import { type Steps, stepsBetween } from "../../model/selected_range";
import { type Timeline, xOfStep } from "../../model/timeline";
import type { ComparedRun } from "../../state/compared_run";
import type { HeatmapGrids } from "../../state/grids";
import type { Rows } from "../../state/rows";
import type { StepViewport } from "../../state/viewport";
import type { Theme } from "../../theme/colors";
import type { Finding, RunDetail } from "../../wire/answers";
import { Loading } from "../notices";
import { useSize } from "../size";
import { Announcement } from "./Announcement";
import type { HeatmapActions } from "./actions";
import { ComparedName, ComparedPane, PaneHeader, RunName } from "./ComparedPane";
import { Curves } from "./Curves";
import { exportImageOf } from "./export_layout";
import { useGestures } from "./gestures";
import type { HoveredCell } from "./hit_test";
import { handleKey, useRowInView } from "./keys";
import { type HeatmapLayout, layoutOf, paneTop, RIGHT_MARGIN } from "./layout";
import { NonfiniteTable } from "./NonfiniteTable";
import { OriginRow } from "./OriginRow";
import {
  useColumnCount,
  useFindingMarkers,
  useFirstSteps,
  useHeatmapPicture,
  usePaintedAxis,
  usePaintedCells,
  useTimeline,
} from "./painting";
import { usePointer } from "./pointer";
import { RowLabels } from "./RowLabels";
import { Tooltip } from "./Tooltip";
import { VisibleRange } from "./VisibleRange";

const NO_RUNS: readonly ComparedRun[] = [];
const NO_CURVES: readonly RunCurve[] = [];

export interface HeatmapProps {
  detail: RunDetail;
  grids: HeatmapGrids;
  viewport: StepViewport;
  rows: Rows;
  curves: readonly RunCurve[];
  compared: readonly ComparedRun[];
  /** The tensors of all shown runs. */
  loadedRuns: readonly RunTensors[];
  /** Compared runs show their difference, and not their values. */
  showDifference: boolean;
  /** Compared runs are in the lines of the selected run, and not below it. */
  isTogether: boolean;
  findings: readonly Finding[];
  /** Index of the open finding; -1 for none. */
  openFinding: number;
  /** Where it began. */
  origin: Origin | null;
  /** Counts the places that were revealed. */
  revealed: number;
  selection: Selection | null;
  /** First and last step of the selected column. */
  selectedSteps: [number, number] | undefined;
  selectedRange: Steps | null;
  cells: CellCache;
  theme: Theme;
  actions: HeatmapActions;
  /** Receives what makes the image to export. */
  exportImage: { current: (() => ExportImage) | null };
}

export function Heatmap(props: HeatmapProps) {
  const { detail, grids, viewport, rows, compared, selection, theme, actions } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const plot = useRef<HTMLDivElement>(null);
  const cells = useRef<HTMLCanvasElement>(null);
  const axis = useRef<HTMLCanvasElement>(null);
  const size = useSize(scroller);
  const [scrollTop, setScrollTop] = useState(0);

  const { origin } = props;
  const isTogether = props.isTogether && compared.length > 0;
  const layout = layoutOf(size, props.curves.length, compared.length, origin !== null, isTogether);
  const strips = isTogether ? compared.length + 1 : 1;
  const curves = layout.showsCurves ? props.curves : NO_CURVES;
  const { labelWidth, plotWidth, paneHeight } = layout;
  const [lanes, folds] = [rows.lanes.value, rows.folds.value];
  const lines = useMemo(
    () => layLines(lanes, (item) => rows.isOpen(item), paneHeight, strips),
    [lanes, folds, paneHeight, strips],
  );
  const timeline = useTimeline(grids, viewport, plotWidth);
  const markers = useFindingMarkers(props.findings, props.openFinding);
  const gestures = useGestures({
    ...{ viewport, scroller, stage, timeline },
    inset: labelWidth,
    axisHeight: AXIS_HEIGHT,
    onRange: (one, other) => {
      const all = viewport.allSteps.value;
      if (all) actions.selectRange(stepsBetween(one, other, [all.from, all.to - 1]));
    },
  });
  const firstSteps = useFirstSteps(detail.tensors);
  const picture = useHeatmapPicture({
    ...{ grids, lines, timeline, theme, scrollTop, selection, markers, layout, origin, firstSteps },
  });
  useColumnCount(grids, plotWidth);
  usePaintedCells(cells, picture);
  usePaintedAxis(axis, picture, markers, gestures.brush);
  useRowInView(scroller, selection, lines, paneHeight, props.revealed);

  const hitField = {
    ...{ plot, axis, layout, lines, scrollTop, timeline, grids, compared, markers },
    origin: origin?.tensor,
  };
  const pointer = usePointer(hitField, gestures, scroller, actions);
  const { hovered } = pointer;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) return;
    const { selectedRange } = props;
    const field = {
      ...{ actions, viewport, rows, grids, selection, selectedRange, lines, timeline },
    };
    if (handleKey(event, field)) event.preventDefault();
  };
  const runs =
    compared.length > 0 && !isTogether ? [detail.run, ...compared.map(({ run }) => run)] : [];
  const fix = props.findings[primaryFinding(props.findings)]?.fix_code;
  props.exportImage.current = () =>
    exportImageOf({
      ...{ stage: stage.current, cells: compared.length > 0 ? null : cells.current, picture },
      ...{ theme, layout, lines, scrollTop, curves, runs, origin },
      title: document.querySelector("h1")?.textContent ?? "",
      headings: [
        ...(fix ? [`Fix: ${codeInOneLine(fix)}`] : []),
        `${detail.run} · ${statisticLabel(grids.statistic.value)}`,
      ],
    });

  const labelProps = {
    ...{ lines, scrollTop, rows, actions, width: labelWidth, height: paneHeight },
    ...{ runs: props.loadedRuns, selected: selection?.tensor },
    hovered: hovered?.tensor.id,
  };
  return (
    <section class="heatmap" aria-label="Heatmap" aria-busy={grids.loading.value}>
      <div
        class={`scroller ${gestures.dragging ? "dragging" : ""}`}
        ref={scroller}
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes the arrow keys.
        tabIndex={0}
        aria-roledescription="heatmap"
        aria-label={`${formatCounted(detail.tensors.length, "tensor")} by step`}
        aria-describedby="heatmap-keys"
        onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
        onKeyDown={onKeyDown}
        onClick={pointer.onClick}
        onDblClick={(event) => event.target instanceof HTMLCanvasElement && viewport.reset()}
        onPointerDown={pointer.onPointerDown}
        onPointerMove={pointer.onPointerMove}
        onPointerUp={gestures.onPointerUp}
        onPointerCancel={gestures.onPointerUp}
        onPointerLeave={pointer.onPointerLeave}
      >
        <div
          class="sizer"
          style={{ height: `${layout.height + Math.max(0, lines.height - paneHeight)}px` }}
        >
          <div class="stage" ref={stage} style={{ height: `${layout.height}px` }}>
            <VisibleRange viewport={viewport} width={labelWidth} />
            <canvas class="axis" ref={axis} style={{ left: `${labelWidth - GUTTER}px` }} />
            <Curves
              {...{ curves, compared, timeline, labelWidth, theme }}
              run={detail.run}
              top={AXIS_HEIGHT}
              width={plotWidth + RIGHT_MARGIN}
              step={hovered?.steps[0] ?? selection?.step ?? null}
              selectedStep={selection?.step ?? null}
            />
            {compared.length > 0 && (
              <PaneHeader top={layout.headHeight}>
                <RunName {...{ run: detail.run, index: 0, theme }} />
                {isTogether &&
                  compared.map((one, index) => (
                    <ComparedName
                      key={one.run}
                      {...{ compared: one, index: index + 1, theme }}
                      showDifference={props.showDifference}
                    />
                  ))}
              </PaneHeader>
            )}
            {picture && origin && (
              <OriginRow
                {...{ origin, picture, labelWidth }}
                top={paneTop(layout, 0) - layout.originHeight}
                onJump={() => actions.jumpToOrigin()}
              />
            )}
            <div
              class="plot"
              ref={plot}
              style={{ top: `${paneTop(layout, 0)}px`, height: `${paneHeight}px` }}
            >
              <RowLabels {...{ ...labelProps, grids, together: isTogether ? compared : NO_RUNS }} />
              <canvas class="cells" ref={cells} style={{ left: `${labelWidth - GUTTER}px` }} />
            </div>
            {picture &&
              compared.map((one, index) => (
                <ComparedPane
                  key={one.run}
                  compared={one}
                  index={index + 1}
                  {...{ isTogether, showDifference: props.showDifference }}
                  picture={picture}
                  top={paneTop(layout, isTogether ? 0 : index + 1)}
                  labels={labelProps}
                  origin={origin}
                  onJump={() => actions.jumpToOrigin()}
                />
              ))}
            {props.selectedRange && (
              <SelectedRange range={props.selectedRange} timeline={timeline} layout={layout} />
            )}
            {hovered && <HoveredStep hovered={hovered} timeline={timeline} layout={layout} />}
          </div>
        </div>
      </div>
      {grids.layers.value.length === 0 && <Loading text="Loading…" />}
      {rows.shown.value.length === 0 && <NoMatch onShowAll={() => rows.showAll()} />}
      <p id="heatmap-keys" class="unseen">
        Arrow keys move by steps and tensors, plus and minus zoom, question mark lists all keys.
      </p>
      {hovered && !gestures.dragging && <HoverTooltip {...props} hovered={hovered} />}
      <Announcement rows={rows} grids={grids} selection={selection} steps={props.selectedSteps} />
      <NonfiniteTable tensors={detail.tensors} />
    </section>
  );
}

function HoverTooltip({
  hovered,
  detail,
  grids,
  cells,
  showDifference,
}: HeatmapProps & { hovered: HoveredCell }) {
  const { compared } = hovered;
  return (
    <Tooltip
      hovered={hovered}
      selectedRun={detail.run}
      grid={(compared?.grids ?? grids).gridAt(hovered.steps[0])}
      times={compared ? compared.detail.value.value?.times : detail.times}
      showDifference={showDifference}
      cells={cells}
    />
  );
}

interface HoveredStepProps {
  hovered: HoveredCell;
  timeline: Timeline;
  layout: HeatmapLayout;
}

/** A line through all runs and curves at the hovered step. */
function HoveredStep({ hovered: { steps }, timeline, layout }: HoveredStepProps) {
  const x = layout.labelWidth + xOfStep(timeline, (steps[0] + steps[1] + 1) / 2);
  return <i class="hovered-step" style={{ left: `${x}px`, top: `${AXIS_HEIGHT}px` }} />;
}

interface SelectedRangeProps {
  range: Steps;
  timeline: Timeline;
  layout: HeatmapLayout;
}

/** The edges of the selected steps, through all runs and curves: cells keep their colors. */
function SelectedRange({ range: [first, last], timeline, layout }: SelectedRangeProps) {
  const within = (step: number) => Math.min(timeline.width, Math.max(0, xOfStep(timeline, step)));
  const [left, right] = [within(first), within(last + 1)];
  return (
    <i
      class="selected-range"
      style={{ left: `${layout.labelWidth + left}px`, width: `${right - left}px` }}
    />
  );
}

function NoMatch({ onShowAll }: { onShowAll: () => void }) {
  return (
    <p class="nothing-shown">
      No tensor matches the filters.{" "}
      <button type="button" onClick={onShowAll}>
        Show all
      </button>
    </p>
  );
}
