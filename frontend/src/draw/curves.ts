/** Draws values over time as lines, in step with the heatmap's columns. */

import { scaleLinear } from "d3-scale";
import { columnSpan, columnsInSight, inSight, type Timeline, xOfStep } from "../model/timeline";
import type { Theme } from "../theme/colours";
import { surfaceOf } from "./canvas";

const FONT = "10px system-ui, sans-serif";
/** Room above and below the lines. */
const INSET = 4;

export interface Curve {
  /** One value a column, in the unit that is drawn linearly; no line where it is not finite. */
  values: ArrayLike<number>;
  colour: string;
}

export interface CurvesPicture {
  timeline: Timeline;
  curves: readonly Curve[];
  theme: Theme;
  /** Pixels left of the first step, for the ticks. */
  left: number;
  width: number;
  height: number;
  /** The scale reaches down to it, whatever the values are. */
  least?: number;
  /** A value in the unit that a person thinks in. */
  text: (value: number) => string;
  selectedStep: number | null;
  /** Columns of which something is to be told, with the colour that tells it. */
  flagged?: { columns: ArrayLike<number>; colour: string };
}

export function drawCurves(canvas: HTMLCanvasElement, picture: CurvesPicture): void {
  const { timeline, curves, theme, left, width, height } = picture;
  const surface = surfaceOf(canvas, left + width, height);
  if (!surface) return;
  const { context } = surface;
  context.translate(left, 0);
  const [begin, end] = columnsInSight(timeline);
  const scale = scaleLinear()
    .domain(extentOf(curves, begin, end, picture.least))
    .range([height - INSET, INSET]);
  context.font = FONT;
  for (const tick of scale.ticks(2).slice(0, 3)) {
    const y = Math.round(scale(tick));
    context.fillStyle = theme.line;
    context.fillRect(0, y, timeline.width, 1);
    context.fillStyle = theme.muted;
    context.textAlign = "right";
    const baseline = Math.min(height - 1, Math.max(8, y + 3));
    if (left >= 20) context.fillText(picture.text(tick), -5, baseline);
  }
  context.textAlign = "left";
  const { flagged } = picture;
  if (flagged) {
    context.fillStyle = flagged.colour;
    for (let column = begin; column < end; column++) {
      if (!flagged.columns[column]) continue;
      const [from, to] = columnSpan(timeline, column);
      context.fillRect(Math.max(0, from), height - 3, Math.max(2, to - from), 3);
    }
  }
  for (const { values, colour } of curves) {
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    let pen = false;
    // One column beyond each end, so that the line does not begin within the picture.
    for (
      let column = Math.max(0, begin - 1);
      column < Math.min(timeline.columns, end + 1);
      column++
    ) {
      const value = values[column] as number;
      if (!Number.isFinite(value)) {
        pen = false;
        continue;
      }
      const [from, to] = columnSpan(timeline, column);
      const [x, y] = [(from + to) / 2, scale(value)];
      const alone = !pen && !Number.isFinite(values[column + 1] as number);
      if (alone) context.moveTo(x - 1, y);
      if (pen || alone) context.lineTo(alone ? x + 1 : x, y);
      else context.moveTo(x, y);
      pen = true;
    }
    context.stroke();
  }
  const { selectedStep } = picture;
  if (selectedStep !== null && inSight(timeline, selectedStep)) {
    context.fillStyle = theme.text;
    context.fillRect(Math.round(xOfStep(timeline, selectedStep + 0.5)), 0, 1, height);
  }
}

/** The finite values in sight, from the smallest to the largest; some room where they are one. */
function extentOf(
  curves: readonly Curve[],
  begin: number,
  end: number,
  least: number | undefined,
): [number, number] {
  let low = least ?? Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const { values } of curves) {
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
