/** Draws values over time as lines, in step with the heatmap's columns. */

import { scaleLinear } from "d3-scale";
import {
  columnSpan,
  isVisible,
  middleOfStep,
  type Timeline,
  visibleColumns,
} from "../model/timeline";
import type { Theme } from "../theme/colors";
import { surfaceOf } from "./canvas";

const FONT = "10px system-ui, sans-serif";
/** Room above and below the lines. */
const INSET = 4;

export interface Curve {
  /** One value per column, in the unit that is drawn linearly; no line where it is NaN or Inf. */
  values: ArrayLike<number>;
  color: string;
  dash?: readonly number[];
  /** The same visible steps, where its columns differ from the picture's. */
  timeline?: Timeline;
}

export interface CurvesPicture {
  timeline: Timeline;
  curves: readonly Curve[];
  theme: Theme;
  /** Pixels left of the first step, for the ticks. */
  left: number;
  width: number;
  height: number;
  /** The lower end of the scale, where it does not follow the values. */
  least?: number;
  ticks: (low: number, high: number) => readonly { value: number; text: string }[];
  selectedStep: number | null;
  /** Columns to mark at the bottom, with their colors. */
  flagged: readonly { columns: ArrayLike<number>; color: string }[];
}

export function drawCurves(canvas: HTMLCanvasElement, picture: CurvesPicture): void {
  const { timeline, curves, theme, left, width, height } = picture;
  const surface = surfaceOf(canvas, left + width, height);
  if (!surface) return;
  const { context } = surface;
  context.translate(left, 0);
  const [begin, end] = visibleColumns(timeline);
  const scale = scaleLinear()
    .domain(extentOf(picture))
    .range([height - INSET, INSET]);
  context.font = FONT;
  const [low, high] = scale.domain() as [number, number];
  const ticks = picture.ticks(low, high);
  for (const { value } of ticks) {
    context.fillStyle = theme.line;
    context.fillRect(0, Math.round(scale(value)), timeline.width, 1);
  }
  for (const { columns, color } of picture.flagged) {
    context.fillStyle = color;
    for (let column = begin; column < end; column++) {
      if (!columns[column]) continue;
      const [from, to] = columnSpan(timeline, column);
      // Whole pixels: neighbors meet.
      const x = Math.floor(Math.min(Math.max(0, from), timeline.width - 2));
      const size = Math.ceil(Math.min(timeline.width, to)) - x;
      context.fillRect(x, height - 3, Math.max(2, size), 3);
    }
  }
  context.save();
  context.beginPath();
  context.rect(0, 0, timeline.width, height);
  context.clip();
  for (const { values, color, dash = [], timeline: own = timeline } of curves) {
    const [begin, end] = visibleColumns(own);
    context.strokeStyle = color;
    context.setLineDash([...dash]);
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    let pen = false;
    // One column beyond each end, so that the line does not begin within the picture.
    for (let column = Math.max(0, begin - 1); column < Math.min(own.columns, end + 1); column++) {
      const value = values[column] as number;
      if (!Number.isFinite(value)) {
        pen = false;
        continue;
      }
      const [from, to] = columnSpan(own, column);
      const [x, y] = [(from + to) / 2, scale(value)];
      const alone = !pen && !Number.isFinite(values[column + 1] as number);
      if (alone) context.moveTo(x - 1, y);
      if (pen || alone) context.lineTo(alone ? x + 1 : x, y);
      else context.moveTo(x, y);
      pen = true;
    }
    context.stroke();
  }
  context.setLineDash([]);
  context.restore();
  drawTicks(context, picture, ticks, (value) => scale(value));
  const { selectedStep } = picture;
  if (selectedStep !== null && isVisible(timeline, selectedStep)) {
    context.fillStyle = theme.text;
    context.fillRect(Math.round(middleOfStep(timeline, selectedStep)), 0, 1, height);
  }
}

/** To the left of the curves where there is room, otherwise over them. */
function drawTicks(
  context: CanvasRenderingContext2D,
  { theme, left, height }: CurvesPicture,
  ticks: readonly { value: number; text: string }[],
  yOf: (value: number) => number,
): void {
  context.textAlign = left >= 20 ? "right" : "left";
  let last = Number.POSITIVE_INFINITY;
  for (const { value, text } of ticks) {
    const baseline = Math.min(height - 1, Math.max(8, Math.round(yOf(value)) + 3));
    if (Math.abs(last - baseline) < 11) continue;
    last = baseline;
    if (left < 20) {
      context.fillStyle = theme.ground;
      context.globalAlpha = 0.8;
      context.fillRect(0, baseline - 9, context.measureText(text).width + 6, 11);
      context.globalAlpha = 1;
    }
    context.fillStyle = theme.muted;
    context.fillText(text, left >= 20 ? -5 : 3, baseline);
  }
  context.textAlign = "left";
}

/** Smallest and largest visible finite value, with some room where they are the same. */
function extentOf({
  curves,
  least,
  timeline,
}: Pick<CurvesPicture, "curves" | "least" | "timeline">): [number, number] {
  let low = least ?? Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { values, timeline: own = timeline } of curves) {
    const [begin, end] = visibleColumns(own);
    for (let column = begin; column < end; column++) {
      const value = values[column] as number;
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  if (high - low > 1e-9) return [low, high];
  return least === undefined ? [low - 0.5, high + 0.5] : [least, least + 1];
}
