/** The image to export: what is visible of the heatmap, with its labels as text. */

import { AXIS_HEIGHT } from "../../draw/axis";
import type { ExportImage } from "../../draw/export_image";
import type { RunCurve } from "../../model/curves";
import type { Origin } from "../../model/findings";
import type { Lines } from "../../model/lanes";
import { tensorTitle, visibleName } from "../../model/names";
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
  origin: Origin | null;
}

export function exportImageOf(visible: VisibleHeatmap): ExportImage {
  const { stage, title, subtitle, theme, layout, lines, scrollTop, curves, runs, origin } = visible;
  const box = stage?.getBoundingClientRect();
  const rowsEnd = paneTop(layout, 0) + lines.height - scrollTop;
  return {
    ...{ title, subtitle, theme, lines, scrollTop },
    width: layout.width,
    height: runs.length > 0 ? layout.height : Math.min(layout.height, rowsEnd),
    labelWidth: layout.labelWidth,
    top: paneTop(layout, 0),
    bodyHeight: layout.paneHeight,
    panes: runs.map((run, pane) => ({
      text: visibleName(run),
      middle: paneTop(layout, pane) - layout.originHeight - PANE_HEADER_HEIGHT / 2,
      top: paneTop(layout, pane),
    })),
    names: [
      ...curves.map(({ label }, index) => ({
        text: label,
        middle: AXIS_HEIGHT + (index + 0.5) * CURVE_HEIGHT,
      })),
      ...(origin ? (runs.length > 0 ? runs : [""]) : []).map((_, pane) => ({
        text: origin ? tensorTitle(origin.tensor) : "",
        middle: paneTop(layout, pane) - layout.originHeight / 2,
      })),
    ],
    pictures: [...(stage?.querySelectorAll("canvas") ?? [])].map((canvas) => {
      const place = canvas.getBoundingClientRect();
      return { canvas, left: place.left - (box?.left ?? 0), top: place.top - (box?.top ?? 0) };
    }),
  };
}
