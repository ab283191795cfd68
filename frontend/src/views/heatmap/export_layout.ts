/** The image to export: the verdict, every row of the heatmap with its label as text, the legend. */

import { AXIS_HEIGHT } from "../../draw/axis";
import { GUTTER } from "../../draw/canvas";
import type { ExportImage, Placed } from "../../draw/export_image";
import { drawHeatmap, type HeatmapPicture } from "../../draw/heatmap";
import type { RunCurve } from "../../model/curves";
import type { Origin } from "../../model/findings";
import { type Lines, linesWithin } from "../../model/lanes";
import { tensorTitle, visibleName } from "../../model/names";
import { formatCounted } from "../../model/numbers";
import type { Theme } from "../../theme/colors";
import { CURVE_HEIGHT, type HeatmapLayout, PANE_HEADER_HEIGHT, paneTop } from "./layout";

/** Browsers draw no canvas that is much higher, in device pixels. */
const MOST_PIXELS = 15_000;
const LEGEND_MARGIN = 12;

interface ShownHeatmap {
  /** What the canvases are in; undefined before it is there. */
  stage: HTMLElement | null;
  /** The canvas of the rows, null where runs are compared; and what it shows. */
  cells: HTMLCanvasElement | null;
  picture: HeatmapPicture | null;
  title: string;
  headings: readonly string[];
  theme: Theme;
  layout: HeatmapLayout;
  lines: Lines;
  scrollTop: number;
  curves: readonly RunCurve[];
  /** Names of the selected and the compared runs; empty where none is compared. */
  runs: readonly string[];
  origin: Origin | null;
}

/** All rows, also those that are scrolled out of sight; of compared runs those in sight. */
export function exportImageOf(shown: ShownHeatmap): ExportImage {
  const { stage, cells, picture, title, headings, theme, layout, lines, curves, runs, origin } =
    shown;
  const isWhole = cells && picture;
  const scrollTop = isWhole ? 0 : shown.scrollTop;
  const most = MOST_PIXELS / (window.devicePixelRatio || 1) - layout.headHeight;
  const bodyHeight = isWhole ? Math.min(lines.height, most) : layout.paneHeight;
  const rowsEnd = isWhole ? paneTop(layout, 0) + bodyHeight : layout.height;
  const pictures = [...(stage?.querySelectorAll("canvas") ?? [])].map((canvas) => {
    const place = placed(canvas, stage);
    if (!isWhole || canvas !== cells) return place;
    const whole = document.createElement("canvas");
    drawHeatmap(whole, { ...picture, scrollTop: 0, height: bodyHeight });
    return { ...place, canvas: whole, width: GUTTER + picture.width, height: bodyHeight };
  });
  const left = isWhole ? linesWithin(lines, bodyHeight, lines.height).length : 0;
  const omitted = left > 0 ? `${formatCounted(left, "more row")} did not fit: filter the rows` : "";
  const legend = document.querySelector(".legend");
  const legendHeight = legend?.getBoundingClientRect().height ?? 0;
  const legendTop = rowsEnd + LEGEND_MARGIN;
  return {
    ...{ title, headings, theme, lines, scrollTop, bodyHeight },
    // The legend is below the panel as well, and so may be wider than the heatmap.
    width: Math.max(layout.width, legend ? widthOf(legend) + 2 * LEGEND_MARGIN : 0),
    height: legendTop + legendHeight + LEGEND_MARGIN,
    labelWidth: layout.labelWidth,
    top: paneTop(layout, 0),
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
    captions: [
      { text: omitted, left: 14, middle: rowsEnd + LEGEND_MARGIN / 2 },
      ...(legend ? wordsOf(legend, legendTop) : []),
    ],
    pictures: [
      ...pictures,
      ...[...(legend?.querySelectorAll("canvas") ?? [])].map((canvas) => {
        const place = placed(canvas, legend);
        return { ...place, left: place.left + LEGEND_MARGIN, top: place.top + legendTop };
      }),
    ],
  };
}

function placed(canvas: HTMLCanvasElement, within: Element | null): Placed {
  const [place, box] = [canvas.getBoundingClientRect(), within?.getBoundingClientRect()];
  const { width, height } = place;
  return {
    canvas,
    left: place.left - (box?.left ?? 0),
    top: place.top - (box?.top ?? 0),
    width,
    height,
  };
}

/** Up to the right end of the last of its children. */
function widthOf(element: Element): number {
  const left = element.getBoundingClientRect().left;
  return Math.max(
    ...[...element.children].map((child) => child.getBoundingClientRect().right - left),
  );
}

/** The words of an element where the page has them. */
function wordsOf(element: Element, top: number): ExportImage["captions"] {
  const box = element.getBoundingClientRect();
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const words: { text: string; left: number; middle: number }[] = [];
  const range = document.createRange();
  while (texts.nextNode()) {
    range.selectNodeContents(texts.currentNode);
    const place = range.getBoundingClientRect();
    words.push({
      text: texts.currentNode.textContent ?? "",
      left: place.left - box.left + LEGEND_MARGIN,
      middle: place.top + place.height / 2 - box.top + top,
    });
  }
  return words;
}
