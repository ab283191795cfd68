/** Draws the axis of steps above the heatmap, with the first non-finite and the selected step. */

import { count } from "../model/numbers";
import { columnOfStep, columnSpan, stepTicks, type Timeline, xOfStep } from "../model/timeline";
import type { Theme } from "../theme/colours";
import { GUTTER, surfaceOf } from "./canvas";

export const AXIS_HEIGHT = 34;
const FONT = "11px system-ui, sans-serif";
const APART = 70;

export interface AxisPicture {
  timeline: Timeline;
  theme: Theme;
  width: number;
  selectedStep: number | null;
  firstStep: number | null;
}

export function drawAxis(canvas: HTMLCanvasElement, picture: AxisPicture): void {
  const surface = surfaceOf(canvas, GUTTER + picture.width, AXIS_HEIGHT);
  if (!surface) return;
  const { context } = surface;
  context.translate(GUTTER, 0);
  const { timeline, theme, firstStep, selectedStep } = picture;
  context.font = FONT;
  context.textBaseline = "alphabetic";
  const floor = AXIS_HEIGHT;
  context.fillStyle = theme.strong;
  context.fillRect(0, floor - 1, timeline.width, 1);
  for (const step of stepTicks(timeline, APART)) {
    const middle = xOfStep(timeline, step + 0.5);
    context.fillStyle = theme.strong;
    context.fillRect(Math.round(middle), floor - 5, 1, 5);
    context.fillStyle = theme.muted;
    writeWithin(context, count(step), middle, floor - 9, picture.width);
  }
  if (firstStep !== null && columnOfStep(timeline, firstStep) >= 0) {
    const x = Math.max(0, Math.round(xOfStep(timeline, firstStep)) - 1);
    context.fillStyle = theme.alarm;
    context.fillRect(x, 4, 1, floor - 4);
    context.font = `600 ${FONT}`;
    const text = `first non-finite: ${count(firstStep)}`;
    const room = picture.width - x - 6;
    const right = context.measureText(text).width <= room;
    context.textAlign = right ? "left" : "right";
    context.fillText(text, right ? x + 5 : x - 5, 12);
    context.textAlign = "left";
    context.font = FONT;
  }
  if (selectedStep !== null) drawSelected(context, picture, selectedStep);
}

function drawSelected(
  context: CanvasRenderingContext2D,
  { timeline, theme }: AxisPicture,
  step: number,
): void {
  const column = columnOfStep(timeline, step);
  if (column < 0) return;
  const [left, right] = columnSpan(timeline, column);
  const middle = (left + right) / 2;
  context.fillStyle = theme.text;
  context.beginPath();
  context.moveTo(middle - 5, AXIS_HEIGHT - 7);
  context.lineTo(middle + 5, AXIS_HEIGHT - 7);
  context.lineTo(middle, AXIS_HEIGHT - 1);
  context.closePath();
  context.fill();
}

/** Centred where there is room, else pushed inwards. */
function writeWithin(
  context: CanvasRenderingContext2D,
  text: string,
  middle: number,
  baseline: number,
  width: number,
): void {
  const half = context.measureText(text).width / 2;
  const x = Math.min(width - half, Math.max(half, middle));
  context.fillText(text, x - half, baseline);
}
