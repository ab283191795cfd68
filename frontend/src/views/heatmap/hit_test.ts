/** What is under the pointer. */

import type { RefObject } from "preact";
import { type FindingMarker, markerAt } from "../../draw/axis";
import { GUTTER } from "../../draw/canvas";
import { gridRow } from "../../model/cells";
import { LANE_HEIGHT, type Lines, lineAt, stickyLane, stripAt, tensorAt } from "../../model/lanes";
import { columnOfStep, stepAt, stepsOfColumn, type Timeline } from "../../model/timeline";
import type { ComparedRun } from "../../state/compared_run";
import type { HeatmapGrids } from "../../state/grids";
import type { Tensor } from "../../wire/answers";
import type { Grid } from "../../wire/grid";
import { type HeatmapLayout, paneStride } from "./layout";

/** The cell under the pointer. */
export interface HoveredCell {
  tensor: Tensor;
  steps: [number, number];
  /** Where the pointer is, in the page. */
  x: number;
  y: number;
  /** The run of the cell, where it is not the selected one. */
  compared: ComparedRun | undefined;
}

export interface HitField {
  /** The rows of the selected run. */
  plot: RefObject<HTMLDivElement | null>;
  axis: RefObject<HTMLCanvasElement | null>;
  layout: HeatmapLayout;
  lines: Lines;
  scrollTop: number;
  timeline: Timeline;
  grids: HeatmapGrids;
  compared: readonly ComparedRun[];
  markers: readonly FindingMarker[];
  /** The tensor of the pinned row. */
  origin: Tensor | undefined;
}

export function cellUnder(event: MouseEvent, field: HitField): HoveredCell | null {
  const { layout, lines, scrollTop, timeline, grids, compared } = field;
  const box = field.plot.current?.getBoundingClientRect();
  if (!box) return null;
  // From the top of the pinned row on.
  const below = event.clientY - box.top + layout.originHeight;
  // The strips of runs that are together are in one pane.
  const isTogether = lines.strips > 1;
  const stride = paneStride(layout);
  const pane = isTogether ? 0 : Math.floor(below / (stride || 1));
  const y = below - pane * stride - layout.originHeight;
  if (below < 0 || pane > compared.length || y >= layout.paneHeight) return null;
  const under = y < 0 ? undefined : lineAt(lines, y + scrollTop);
  const strip = isTogether && under ? stripAt(lines, under, y + scrollTop) : pane;
  const run = compared[strip - 1];
  const shown = run?.grids ?? grids;
  const steps = stepsUnder(shown, timeline, event.clientX - box.left - layout.labelWidth);
  const tensor = steps && (y < 0 ? field.origin : tensorUnder(y, shown.gridAt(steps[0]), steps[0]));
  const isThere = (grid: Grid | undefined) => grid && tensor && gridRow(grid, tensor.id);
  if (!tensor || !steps || !isThere(shown.gridAt(steps[0]))) return null;
  return { tensor, steps, x: event.clientX, y: event.clientY, compared: run };

  function tensorUnder(y: number, grid: Grid | undefined, step: number): Tensor | undefined {
    const sticky = stickyLane(lines, scrollTop);
    if (sticky && y < sticky.top + LANE_HEIGHT) return undefined;
    return under && tensorAt(under, grid, step);
  }
}

/** Index of the finding whose marker on the axis is under the pointer; -1 for none. */
export function markerUnder(event: MouseEvent, { axis, markers, timeline }: HitField): number {
  const box = axis.current?.getBoundingClientRect();
  if (!box || event.clientY > box.bottom) return -1;
  return markerAt(markers, timeline, event.clientX - box.left - GUTTER, event.clientY - box.top);
}

/** First and last step of the cell at a pixel; undefined where there is none. */
function stepsUnder(
  grids: HeatmapGrids,
  timeline: Timeline,
  x: number,
): [number, number] | undefined {
  if (x < 0 || x >= timeline.width) return undefined;
  const step = Math.floor(stepAt(timeline, x));
  const grid = grids.gridAt(step);
  if (!grid) return undefined;
  const { edges } = grid;
  return stepsOfColumn(grid, columnOfStep({ edges, columns: edges.length - 1 }, step));
}
