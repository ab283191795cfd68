/** Where the parts of the heatmap are, in CSS pixels. */

import { AXIS_HEIGHT } from "../../draw/axis";
import type { Size } from "../size";

/** Room at the right end, so that the outline of the last cell is not cut. */
export const RIGHT_MARGIN = 12;
export const CURVE_HEIGHT = 40;
/** Height of the strip with the name of a run. */
export const PANE_HEADER_HEIGHT = 28;
/** Height of the origin's own row, above those that scroll. */
export const ORIGIN_HEIGHT = 28;

const MIN_HEATMAP_HEIGHT = 120;
const MIN_COMPARED_HEIGHT = 70;

export interface HeatmapLayout extends Size {
  labelWidth: number;
  /** Width of the visible steps. */
  plotWidth: number;
  /** Curves give way where too little of the heatmap would be left. */
  showsCurves: boolean;
  /** Height of the axis and the curves. */
  headHeight: number;
  /** 0 for a run that is not compared: it needs no name. */
  paneHeaderHeight: number;
  /** Height of the pinned origin of a run; 0 for none. */
  originHeight: number;
  /** Height of the rows of one run that scroll. */
  paneHeight: number;
}

export function layoutOf(
  { width, height }: Size,
  curves: number,
  compared: number,
  hasOrigin: boolean,
  isTogether: boolean,
): HeatmapLayout {
  const labelWidth = labelWidthFor(width);
  const curvesHeight = curves * CURVE_HEIGHT;
  const showsCurves = height - AXIS_HEIGHT - curvesHeight >= MIN_HEATMAP_HEIGHT;
  const headHeight = AXIS_HEIGHT + (showsCurves ? curvesHeight : 0);
  const paneHeaderHeight = compared > 0 ? PANE_HEADER_HEIGHT : 0;
  const originHeight = hasOrigin ? ORIGIN_HEIGHT : 0;
  const share = Math.floor((height - headHeight) / (isTogether ? 1 : compared + 1));
  return {
    ...{ width, height, labelWidth, showsCurves, headHeight, paneHeaderHeight, originHeight },
    plotWidth: Math.max(0, width - labelWidth - RIGHT_MARGIN),
    paneHeight: Math.max(
      compared > 0 ? MIN_COMPARED_HEIGHT : 0,
      share - paneHeaderHeight - originHeight,
    ),
  };
}

/** Top of the rows of a run; the selected one is pane 0. */
export function paneTop(layout: HeatmapLayout, pane: number): number {
  return (
    layout.headHeight + pane * paneStride(layout) + layout.paneHeaderHeight + layout.originHeight
  );
}

/** Height of all that belongs to one run. */
export function paneStride({ paneHeaderHeight, originHeight, paneHeight }: HeatmapLayout): number {
  return paneHeaderHeight + originHeight + paneHeight;
}

/** Labels take the room they need, but no more than a third of a narrow page. */
function labelWidthFor(width: number): number {
  return Math.round(Math.min(300, Math.max(170, width * 0.3)));
}
