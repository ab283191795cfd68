/** What is painted on the canvases of the heatmap, and when. */

import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { drawAxis, type FindingMarker, severityColor } from "../../draw/axis";
import { drawHeatmap, type HeatmapPicture, type MarkedStep } from "../../draw/heatmap";
import type { Selection } from "../../model/cursor";
import type { Origin as OriginCell } from "../../model/findings";
import type { Lines } from "../../model/lanes";
import { formatCount } from "../../model/numbers";
import { type Timeline, timelineOf } from "../../model/timeline";
import type { HeatmapGrids } from "../../state/grids";
import type { StepViewport } from "../../state/viewport";
import type { Theme } from "../../theme/colors";
import type { Finding, Tensor } from "../../wire/answers";
import { type HeatmapLayout, RIGHT_MARGIN } from "./layout";

/** The number of columns changes in such steps, so that resizing does not load at every pixel. */
const COLUMN_QUANTUM = 64;
const MIN_COLUMN_WIDTH = 2;

/** Sets how many columns fit on the screen. */
export function useColumnCount(grids: HeatmapGrids, plotWidth: number): void {
  useEffect(() => {
    const columns = Math.ceil(plotWidth / MIN_COLUMN_WIDTH / COLUMN_QUANTUM) * COLUMN_QUANTUM;
    if (plotWidth > 0) grids.columns.value = columns;
  }, [plotWidth, grids]);
}

/** The visible steps, in the columns of the finest grid. */
export function useTimeline(
  grids: HeatmapGrids,
  viewport: StepViewport,
  plotWidth: number,
): Timeline {
  const edges = grids.layers.value.at(-1)?.edges;
  const range = viewport.range.value;
  const scale = viewport.scale.value;
  return useMemo(
    () => timelineOf(edges ?? [], plotWidth, range ?? undefined, scale),
    [edges, plotWidth, range, scale],
  );
}

/** Markers of the findings on the axis. */
export function useFindingMarkers(
  findings: readonly Finding[],
  openFinding: number,
): FindingMarker[] {
  return useMemo(
    () =>
      findings.map(({ step, severity }, index) => ({
        ...{ step, severity, text: `step ${formatCount(step)}` },
        active: index === openFinding,
      })),
    [findings, openFinding],
  );
}

/** The first bad step of each tensor that has one. */
export function useFirstSteps(tensors: Iterable<Tensor>): ReadonlyMap<string, number> {
  return useMemo(() => {
    const steps = new Map<string, number>();
    for (const { id, first_nonfinite_step: step } of tensors)
      if (step !== null) steps.set(id, step);
    return steps;
  }, [tensors]);
}

interface PictureParts {
  grids: HeatmapGrids;
  lines: Lines;
  timeline: Timeline;
  theme: Theme;
  scrollTop: number;
  selection: Selection | null;
  origin: OriginCell | null;
  firstSteps: ReadonlyMap<string, number>;
  markers: readonly FindingMarker[];
  layout: HeatmapLayout;
}

/** What the cells are drawn from; null before anything is known. The same object until it changes. */
export function useHeatmapPicture(parts: PictureParts): HeatmapPicture | null {
  const { grids, lines, timeline, theme, scrollTop, selection, markers, layout } = parts;
  const { origin, firstSteps } = parts;
  const { paneHeight, plotWidth } = layout;
  const layers = grids.layers.value;
  const magnitude = grids.magnitude.value;
  return useMemo(() => {
    if (!magnitude) return null;
    const marked: MarkedStep[] = markers
      .filter(({ active }) => active)
      .map(({ step, severity }) => ({ step, color: severityColor(theme, severity) }));
    return {
      ...{ layers, lines, timeline, magnitude, theme, scrollTop, selection, marked, firstSteps },
      origin: origin && {
        ...{ tensor: origin.tensor.id, step: origin.step },
        color: severityColor(theme, origin.severity),
      },
      strip: 0,
      width: plotWidth + RIGHT_MARGIN,
      height: Math.min(paneHeight, lines.height - scrollTop),
    };
  }, [
    layers,
    lines,
    timeline,
    magnitude,
    theme,
    scrollTop,
    selection,
    origin,
    firstSteps,
    markers,
    paneHeight,
    plotWidth,
  ]);
}

/** Draws the cells where something of them changed: not when the pointer moves. */
export function usePaintedCells(
  canvas: RefObject<HTMLCanvasElement | null>,
  picture: HeatmapPicture | null,
): void {
  const density = useDensity();
  useLayoutEffect(() => {
    if (canvas.current && picture) drawHeatmap(canvas.current, picture);
  }, [canvas, picture, density]);
}

export function usePaintedAxis(
  canvas: RefObject<HTMLCanvasElement | null>,
  picture: HeatmapPicture | null,
  markers: readonly FindingMarker[],
  brush: readonly [number, number] | null,
): void {
  const density = useDensity();
  useLayoutEffect(() => {
    if (!canvas.current || !picture) return;
    const selectedStep = picture.selection?.step ?? null;
    drawAxis(canvas.current, { ...picture, markers, selectedStep, brush });
  }, [canvas, picture, density, markers, brush]);
}

/** Device pixels per CSS pixel; it changes with the screen that the page is on, and its zoom. */
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
