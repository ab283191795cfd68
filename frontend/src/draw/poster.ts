/** What is in sight as one picture to keep: a title, the labels as text, and the canvases. */

import { type Line, type Lines, linesWithin } from "../model/lanes";
import { splitName, visibleName } from "../model/names";
import type { Theme } from "../theme/colours";

const TITLE_HEIGHT = 44;
const SANS = "system-ui, sans-serif";
const MONO = "ui-monospace, Menlo, Consolas, monospace";
const CHARACTER = 7;

/** A canvas of the page, and where it stands below the title. */
export interface Placed {
  canvas: HTMLCanvasElement;
  left: number;
  top: number;
}

export interface Poster {
  title: string;
  subtitle: string;
  theme: Theme;
  width: number;
  height: number;
  labelWidth: number;
  /** Where the lines begin. */
  top: number;
  /** As many pixels of them are in view. */
  bodyHeight: number;
  lines: Lines;
  scrollTop: number;
  /** Runs that stand below one another, with the middle of the strips of their names. */
  panes: readonly { text: string; middle: number; top: number }[];
  /** Names beside the curves. */
  names: readonly { text: string; middle: number }[];
  pictures: readonly Placed[];
}

export function drawPoster(poster: Poster): HTMLCanvasElement {
  const density = window.devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(poster.width * density);
  canvas.height = Math.round((poster.height + TITLE_HEIGHT) * density);
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const { theme } = poster;
  context.scale(density, density);
  context.fillStyle = theme.ground;
  context.fillRect(0, 0, poster.width, poster.height + TITLE_HEIGHT);
  context.textBaseline = "middle";
  write(context, poster.title, 14, 15, `600 15px ${SANS}`, theme.text, poster.width - 28);
  write(context, poster.subtitle, 14, 33, `12px ${SANS}`, theme.muted, poster.width - 28);
  context.translate(0, TITLE_HEIGHT);
  for (const { canvas: picture, left, top } of poster.pictures) {
    context.drawImage(picture, left, top, picture.clientWidth, picture.clientHeight);
  }
  for (const { text, middle } of poster.names) {
    write(context, text, 26, middle, `600 13px ${SANS}`, theme.text, poster.labelWidth - 40);
  }
  const { lines, scrollTop, bodyHeight } = poster;
  for (const { text, middle } of poster.panes) {
    write(context, text, 14, middle, `600 12px ${SANS}`, theme.text, poster.width - 28);
  }
  const tops = poster.panes.length > 0 ? poster.panes.map(({ top }) => top) : [poster.top];
  for (const top of tops) {
    context.save();
    context.beginPath();
    context.rect(0, top, poster.labelWidth, bodyHeight);
    context.clip();
    for (const line of linesWithin(lines, scrollTop, scrollTop + bodyHeight)) {
      writeLabel(context, line, top + line.top - scrollTop + line.height / 2, poster);
    }
    context.restore();
  }
  return canvas;
}

function writeLabel(
  context: CanvasRenderingContext2D,
  line: Line,
  middle: number,
  { labelWidth, theme }: Poster,
): void {
  if (line.kind === "lane") {
    write(context, line.lane.label, 26, middle, `600 13px ${SANS}`, theme.text, labelWidth - 30);
    return;
  }
  const depth = line.kind === "group" ? line.group.depth : line.depth;
  const left = 26 + depth * 12;
  const room = labelWidth - left - 8;
  const text = line.kind === "group" ? visibleName(line.group.label) : tailOf(line.label, room);
  const weight = line.kind === "group" ? "600 " : "";
  write(context, text, left, middle, `${weight}11px ${MONO}`, theme.text, room);
}

/** The end of a name says more than its beginning. */
function tailOf(name: string, room: number): string {
  const longest = Math.floor(room / CHARACTER);
  const visible = visibleName(name);
  return visible.length <= longest ? visible : `…${splitName(name, longest - 1).tail}`;
}

function write(
  context: CanvasRenderingContext2D,
  text: string,
  x: number,
  y: number,
  font: string,
  colour: string,
  room: number,
): void {
  context.font = font;
  context.fillStyle = colour;
  context.fillText(text, x, y, room);
}
