/** Draws exponent histograms over time: steps to the right, magnitudes upwards. */

import { limitLines } from "../model/formats";
import { marksOf, NONFINITE } from "../model/marks";
import { lengthOf, type Range } from "../model/range";
import type { StepScale } from "../model/scale";
import {
  columnSpan,
  isVisible,
  middleOfStep,
  type Timeline,
  timelineOf,
  visibleColumns,
} from "../model/timeline";
import type { Theme } from "../theme/colors";
import { MARK_COLORS } from "../theme/colors";
import type { Spectrogram } from "../wire/spectrogram";
import { surfaceOf } from "./canvas";
import { cellColorsOf, colorWord } from "./cell_colors";
import { type ColumnPixels, columnPixelsOf } from "./raster";

export const SPECTROGRAM_HEIGHT = 168;
/** Room for the tick labels. */
export const SPECTROGRAM_LEFT = 34;
/** A strip below for NaN and infinities. */
const FOOT = 7;
const FONT = "10px system-ui, sans-serif";
/** Shares of a column's elements below this one look alike. */
const LEAST_SHARE = 1e-6;
/** A limit that is only a few powers of 2 away is shown, too. */
const NEAR_LIMIT = 4;

export interface SpectrogramPicture {
  spectrogram: Spectrogram;
  range: Range;
  scale: StepScale;
  theme: Theme;
  width: number;
  selectedStep: number;
}

export function timelineWithin({ spectrogram, range, width, scale }: SpectrogramPicture): Timeline {
  const available = width - SPECTROGRAM_LEFT;
  const timeline = timelineOf(spectrogram.edges, available, range, scale);
  // A short run fills the chart: it need not align with the heatmap.
  const pixelsPerUnit = available / Math.max(1e-9, lengthOf(range, scale));
  return { ...timeline, pixelsPerUnit, width: available };
}

export function drawSpectrogram(canvas: HTMLCanvasElement, picture: SpectrogramPicture): void {
  const { spectrogram, theme, width } = picture;
  const surface = surfaceOf(canvas, width, SPECTROGRAM_HEIGHT);
  if (!surface) return;
  const { context, density } = surface;
  const timeline = timelineWithin(picture);
  const [low, high] = exponentsShown(spectrogram);
  const bottom = SPECTROGRAM_HEIGHT - FOOT - 2;
  const yOf = (exponent: number) => bottom - ((exponent - low) / (high - low)) * bottom;
  const [begin, end] = visibleColumns(timeline);
  const image = context.createImageData(
    Math.max(1, Math.round(timeline.width * density)),
    Math.round(bottom * density),
  );
  const pixels = new Uint32Array(image.data.buffer).fill(colorWord(theme.ground));
  const raster = { pixels, width: image.width, height: image.height };
  const columnPixels = columnPixelsOf(timeline, density, begin, end);
  const rowOf = (exponent: number) => Math.round(yOf(exponent) * density);
  paintColumns(raster, columnPixels, spectrogram, rowOf, cellColorsOf(theme, density).table);
  context.putImageData(image, Math.round(SPECTROGRAM_LEFT * density), 0);
  context.translate(SPECTROGRAM_LEFT, 0);
  for (let column = begin; column < end; column++) {
    const [mark] = marksOf((spectrogram.flags[column] as number) & NONFINITE);
    if (!mark) continue;
    const [left, right] = columnSpan(timeline, column);
    // Whole pixels: neighbors meet.
    const x = Math.floor(Math.min(Math.max(0, left), timeline.width - 2));
    const size = Math.ceil(Math.min(timeline.width, right)) - x;
    context.fillStyle = MARK_COLORS[mark.name].fill;
    context.fillRect(x, bottom + 2, Math.max(2, size), FOOT);
  }
  drawExponents(context, low, high, yOf, theme);
  drawLimits(context, low, high, yOf, timeline.width, theme);
  if (isVisible(timeline, picture.selectedStep)) {
    const x = Math.max(0.5, Math.round(middleOfStep(timeline, picture.selectedStep)) - 0.5);
    context.fillStyle = theme.ground;
    context.fillRect(x - 1, 0, 3, SPECTROGRAM_HEIGHT);
    context.fillStyle = theme.text;
    context.fillRect(x, 0, 1, SPECTROGRAM_HEIGHT);
  }
}

/** The exponents from bottom to top: those with elements, some room, and limits that are near. */
function exponentsShown({ first_exponent, bins }: Spectrogram): [number, number] {
  let low = first_exponent;
  let high = first_exponent + Math.max(1, bins);
  for (const { exponent } of limitLines(low - NEAR_LIMIT, low)) low = Math.min(low, exponent - 1);
  for (const { exponent } of limitLines(high, high + NEAR_LIMIT)) high = Math.max(high, exponent);
  const lacking = Math.max(0, 10 - (high - low));
  return [low - Math.ceil(lacking / 2), high + 1 + Math.floor(lacking / 2)];
}

/** Paints the share of a column's elements in each of its bins, on a logarithmic scale. */
export function paintColumns(
  { pixels, width, height }: { pixels: Uint32Array; width: number; height: number },
  { begin, edges }: ColumnPixels,
  { counts, bins, first_exponent, sampled_elements }: Spectrogram,
  rowOf: (exponent: number) => number,
  table: Uint32Array,
): void {
  const rows = Array.from({ length: bins + 1 }, (_, bin) =>
    Math.min(height, Math.max(0, rowOf(first_exponent + bin))),
  );
  for (let at = 0; at + 1 < edges.length; at++) {
    const left = Math.max(0, edges[at] as number);
    const right = Math.min(width, edges[at + 1] as number);
    if (right <= left) continue;
    const elements = sampled_elements[begin + at] as number;
    for (let bin = 0; bin < bins; bin++) {
      const count = counts[(begin + at) * bins + bin] as number;
      if (count === 0) continue;
      const level = 1 - Math.log10(count / elements) / Math.log10(LEAST_SHARE);
      const index = Math.round(Math.min(1, Math.max(0, level)) * (table.length - 1));
      for (let y = rows[bin + 1] as number; y < (rows[bin] as number); y++) {
        pixels.fill(table[index] as number, y * width + left, y * width + right);
      }
    }
  }
}

function drawExponents(
  context: CanvasRenderingContext2D,
  low: number,
  high: number,
  yOf: (exponent: number) => number,
  theme: Theme,
): void {
  context.font = FONT;
  context.fillStyle = theme.muted;
  context.textAlign = "right";
  const every = Math.max(2, Math.ceil((high - low) / 8));
  for (let exponent = Math.ceil(low / every) * every; exponent < high; exponent += every) {
    const y = yOf(exponent);
    if (y < 8) continue;
    context.fillRect(-4, Math.round(y), 4, 1);
    context.fillText(`2${raised(exponent)}`, -6, y + 3);
  }
  context.textAlign = "left";
}

const DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function raised(exponent: number): string {
  return String(exponent)
    .replace("-", "⁻")
    .replace(/\d/g, (digit) => DIGITS[Number(digit)] ?? "");
}

/** Lines at the limits of formats, each with its name above. */
function drawLimits(
  context: CanvasRenderingContext2D,
  low: number,
  high: number,
  yOf: (exponent: number) => number,
  width: number,
  theme: Theme,
): void {
  context.font = FONT;
  context.lineWidth = 1;
  let last = Number.NEGATIVE_INFINITY;
  for (const { exponent, text } of limitLines(low, high).sort((a, b) => a.exponent - b.exponent)) {
    const y = Math.round(yOf(exponent)) + 0.5;
    context.strokeStyle = theme.text;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.setLineDash([]);
    const size = context.measureText(text).width;
    const baseline = y < 13 ? y + 11 : y - 4;
    // Close lines are named at opposite ends, so that their names do not overlap.
    const x = Math.abs(baseline - last) < 12 ? 3 : width - size - 3;
    last = baseline;
    context.fillStyle = theme.ground;
    context.globalAlpha = 0.85;
    context.fillRect(x - 3, baseline - 9, size + 6, 12);
    context.globalAlpha = 1;
    context.fillStyle = theme.text;
    context.fillText(text, x, baseline);
  }
}
