/** The image to export: what is visible of the heatmap, with its labels as text. */

import { AXIS_HEIGHT } from "../../draw/axis";
import type { ExportImage } from "../../draw/export_image";
import type { RunCurve } from "../../model/curves";
import type { Lines } from "../../model/lanes";
import { visibleName } from "../../model/names";
import type { Theme } from "../../theme/colors";
import { CURVE_HEIGHT, type HeatmapLayout, PANE_HEADER_HEIGHT, paneTop } from "./layout";

interface VisibleHeatmap {
  /** What the canvases are in; undefined before it is there. */
  stage: HTMLElement | null;
  title: string;
  subtitle: string;
  theme: Theme;
  layout: HeatmapLayout;
  lines: Lines;
  scrollTop: number;
  curves: readonly RunCurve[];
  /** Names of the selected and the compared runs; empty where none is compared. */
  runs: readonly string[];
}

export function exportImageOf(visible: VisibleHeatmap): ExportImage {
  const { stage, title, subtitle, theme, layout, lines, scrollTop, curves, runs } = visible;
  const box = stage?.getBoundingClientRect();
  const rowsEnd = layout.headHeight + lines.height - scrollTop;
  return {
    ...{ title, subtitle, theme, lines, scrollTop },
    width: layout.width,
    height: runs.length > 0 ? layout.height : Math.min(layout.height, rowsEnd),
    labelWidth: layout.labelWidth,
    top: layout.headHeight,
    bodyHeight: layout.paneHeight,
    panes: runs.map((run, pane) => ({
      text: visibleName(run),
      middle: paneTop(layout, pane) - PANE_HEADER_HEIGHT / 2,
      top: paneTop(layout, pane),
    })),
    names: curves.map(({ label }, index) => ({
      text: label,
      middle: AXIS_HEIGHT + (index + 0.5) * CURVE_HEIGHT,
    })),
    pictures: [...(stage?.querySelectorAll("canvas") ?? [])].map((canvas) => {
      const place = canvas.getBoundingClientRect();
      return { canvas, left: place.left - (box?.left ?? 0), top: place.top - (box?.top ?? 0) };
    }),
  };
}
