/** Draws the axis of steps above the heatmap: ticks, markers of findings, the selected step, a brush. */

import {
  columnOfStep,
  columnSpan,
  isVisible,
  type Timeline,
  ticksOf,
  xOfStep,
} from "../model/timeline";
import type { Theme } from "../theme/colors";
import type { Severity } from "../wire/schema";
import { GUTTER, surfaceOf } from "./canvas";

export const AXIS_HEIGHT = 38;
/** Markers of findings are above the tick labels. */
const MARKER_HEIGHT = 17;
const MARKER_RADIUS = 6.5;
const FONT = "11px system-ui, sans-serif";
const MIN_TICK_SPACING = 70;

/** A finding on the axis. */
export interface FindingMarker {
  step: number;
  severity: Severity;
  /** The finding that is open. */
  active: boolean;
  text: string;
}

export interface AxisPicture {
  timeline: Timeline;
  theme: Theme;
  width: number;
  selectedStep: number | null;
  markers: readonly FindingMarker[];
  /** Both ends of the brush in pixels. */
  brush: readonly [number, number] | null;
}

export function drawAxis(canvas: HTMLCanvasElement, picture: AxisPicture): void {
  const surface = surfaceOf(canvas, GUTTER + picture.width, AXIS_HEIGHT);
  if (!surface) return;
  const { context } = surface;
  context.translate(GUTTER, 0);
  const { timeline, theme, selectedStep } = picture;
  context.font = FONT;
  context.textBaseline = "alphabetic";
  const floor = AXIS_HEIGHT;
  if (picture.brush) {
    const [left, right] = picture.brush;
    context.fillStyle = theme["accent-ground"];
    context.fillRect(left, 0, right - left, floor);
    context.fillStyle = theme.accent;
    context.fillRect(left, 0, 1, floor);
    context.fillRect(right - 1, 0, 1, floor);
  }
  context.fillStyle = theme.strong;
  context.fillRect(0, floor - 1, timeline.width, 1);
  for (const { x, text } of ticksOf(timeline, MIN_TICK_SPACING)) {
    context.fillStyle = theme.strong;
    context.fillRect(Math.round(x), floor - 5, 1, 5);
    context.fillStyle = theme.muted;
    writeWithin(context, text, x, floor - 8, picture.width);
  }
  // The active one last, on top of the others.
  const markers = picture.markers.filter(({ step }) => isVisible(timeline, step));
  for (const marker of markers) if (!marker.active) drawMarker(context, picture, marker);
  for (const marker of markers) if (marker.active) drawMarker(context, picture, marker);
  if (selectedStep !== null) drawSelected(context, picture, selectedStep);
}

/** Index of the marker at a place of the axis; -1 where there is none. */
export function markerAt(
  markers: readonly FindingMarker[],
  timeline: Timeline,
  x: number,
  y: number,
): number {
  if (y > MARKER_HEIGHT + 2) return -1;
  const hits = markers
    .map((marker, index) => ({
      marker,
      index,
      distance: Math.abs(markerX(timeline, marker.step) - x),
    }))
    .filter(
      ({ marker, distance }) => isVisible(timeline, marker.step) && distance <= MARKER_RADIUS + 3,
    )
    .sort((a, b) => a.distance - b.distance || Number(b.marker.active) - Number(a.marker.active));
  return hits[0]?.index ?? -1;
}

function markerX(timeline: Timeline, step: number): number {
  const x = Math.round(Math.max(0, xOfStep(timeline, step))) - 0.5;
  return Math.min(timeline.width - MARKER_RADIUS, Math.max(MARKER_RADIUS, x));
}

/** A symbol in the color of its severity: a cross in a disc, a bar in a triangle, a dot in a ring. */
function drawMarker(
  context: CanvasRenderingContext2D,
  { timeline, theme, width }: AxisPicture,
  { step, severity, active, text }: FindingMarker,
): void {
  const color = severityColor(theme, severity);
  const x = markerX(timeline, step);
  const y = MARKER_HEIGHT / 2;
  context.fillStyle = color;
  if (active) {
    const line = Math.max(0, Math.round(xOfStep(timeline, step)) - 1);
    context.fillRect(line, MARKER_HEIGHT - 2, 1, AXIS_HEIGHT - MARKER_HEIGHT + 2);
  }
  drawSign(context, severity, x, y, color, theme.ground);
  if (!active) return;
  context.font = `600 ${FONT}`;
  const room = width - x - MARKER_RADIUS - 8;
  const size = context.measureText(text).width;
  const at = size <= room ? x + MARKER_RADIUS + 5 : x - MARKER_RADIUS - 5 - size;
  context.fillStyle = theme.ground;
  context.fillRect(at - 2, 1, size + 4, MARKER_HEIGHT - 2);
  context.fillStyle = color;
  context.fillText(text, at, y + 4);
  context.font = FONT;
}

export function severityColor(theme: Theme, severity: Severity): string {
  return (
    { error: theme.alarm, warning: theme.caution, info: theme.accent }[severity] ?? theme.muted
  );
}

function drawSign(
  context: CanvasRenderingContext2D,
  severity: Severity,
  x: number,
  y: number,
  color: string,
  ground: string,
): void {
  const radius = MARKER_RADIUS;
  context.lineWidth = 1.6;
  context.fillStyle = color;
  context.strokeStyle = ground;
  context.beginPath();
  if (severity === "warning") {
    context.moveTo(x, y - radius);
    context.lineTo(x + radius + 0.5, y + radius - 0.5);
    context.lineTo(x - radius - 0.5, y + radius - 0.5);
    context.closePath();
  } else context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  context.fill();
  context.beginPath();
  if (severity === "error") {
    context.moveTo(x - 2.5, y - 2.5);
    context.lineTo(x + 2.5, y + 2.5);
    context.moveTo(x + 2.5, y - 2.5);
    context.lineTo(x - 2.5, y + 2.5);
  } else {
    const top = severity === "warning" ? y - 2 : y - 0.5;
    context.moveTo(x, top);
    context.lineTo(x, top + 3);
    context.moveTo(x, severity === "warning" ? y + 3 : y - 3.5);
    context.lineTo(x, severity === "warning" ? y + 4.5 : y - 2);
  }
  context.stroke();
}

function drawSelected(
  context: CanvasRenderingContext2D,
  { timeline, theme }: AxisPicture,
  step: number,
): void {
  const column = columnOfStep(timeline, step);
  if (column < 0 || !isVisible(timeline, step)) return;
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

/** Centered where there is room, otherwise moved inward. */
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
