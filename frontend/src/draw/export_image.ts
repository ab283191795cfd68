/** The heatmap as an image to save, PNG or SVG: the verdict, the labels as text, the canvases, the legend. */

import { type Line, type Lines, linesWithin } from "../model/lanes";
import { splitName, visibleName } from "../model/names";
import type { Theme } from "../theme/colors";

const TITLE_HEIGHT = 26;
const HEADING_HEIGHT = 18;
const SANS = "system-ui, sans-serif";
const MONO = "ui-monospace, Menlo, Consolas, monospace";
const CHARACTER = 7;

/** A canvas, and its place below the headings, in CSS pixels. */
export interface Placed {
  canvas: HTMLCanvasElement;
  left: number;
  top: number;
  width: number;
  height: number;
}

export interface ExportImage {
  title: string;
  /** Lines below the title. */
  headings: readonly string[];
  theme: Theme;
  width: number;
  /** Without the headings. */
  height: number;
  labelWidth: number;
  /** Where the lines begin. */
  top: number;
  /** As many pixels of them are in view. */
  bodyHeight: number;
  lines: Lines;
  scrollTop: number;
  /** The compared runs from top to bottom, with the middle of the strips of their names. */
  panes: readonly { text: string; middle: number; top: number }[];
  /** Labels of the curves. */
  names: readonly { text: string; middle: number }[];
  /** Words of the legend, and what of the rows is left out. */
  captions: readonly { text: string; left: number; middle: number }[];
  pictures: readonly Placed[];
}

/** Above what the image shows. */
function headHeightOf({ headings }: ExportImage): number {
  return TITLE_HEIGHT + HEADING_HEIGHT * headings.length;
}

/** A text of the image, placed by its left end and vertical middle, cut where its room ends. */
interface Text {
  text: string;
  x: number;
  y: number;
  font: { weight: number; size: number; family: string };
  color: string;
  room: number;
  /** From the first height to the second, where rows are scrolled. */
  clip?: readonly [top: number, bottom: number];
}

export function drawExportImage(image: ExportImage): HTMLCanvasElement {
  const density = window.devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  const head = headHeightOf(image);
  canvas.width = Math.round(image.width * density);
  canvas.height = Math.round((image.height + head) * density);
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.scale(density, density);
  context.fillStyle = image.theme.ground;
  context.fillRect(0, 0, image.width, image.height + head);
  for (const { canvas: picture, left, top, width, height } of image.pictures) {
    context.drawImage(picture, left, top + head, width, height);
  }
  context.textBaseline = "middle";
  for (const { text, x, y, font, color, room, clip } of textsOf(image)) {
    context.save();
    if (clip) {
      context.beginPath();
      context.rect(0, clip[0], image.width, clip[1] - clip[0]);
      context.clip();
    }
    context.font = `${font.weight} ${font.size}px ${font.family}`;
    context.fillStyle = color;
    context.fillText(text, x, y, room);
    context.restore();
  }
  return canvas;
}

/** The same as SVG: its texts are text, its cells are pixels as they are on the screen. */
export function exportImageSvg(image: ExportImage): string {
  const head = headHeightOf(image);
  const size = `width="${image.width}" height="${image.height + head}"`;
  const pictures = image.pictures.map(({ canvas, left, top, width, height }) => {
    const box = `x="${left}" y="${top + head}" width="${width}" height="${height}"`;
    return `<image ${box} href="${canvas.toDataURL("image/png")}"/>`;
  });
  const clips = new Map<string, string>();
  const texts = textsOf(image).map(({ text, x, y, font, color, clip }) => {
    let clipped = "";
    if (clip) {
      const [top, bottom] = clip;
      const id = `clip-${top}`;
      const box = `y="${top}" width="${image.labelWidth}" height="${bottom - top}"`;
      clips.set(id, `<clipPath id="${id}"><rect ${box}/></clipPath>`);
      clipped = ` clip-path="url(#${id})"`;
    }
    const style = `font-family="${escaped(font.family)}" font-size="${font.size}" font-weight="${font.weight}"`;
    return `<text x="${x}" y="${y}" dominant-baseline="central" fill="${color}" ${style}${clipped}>${escaped(text)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size}>`,
    `<rect ${size} fill="${image.theme.ground}"/>`,
    ...pictures,
    ...clips.values(),
    ...texts,
    "</svg>",
  ].join("\n");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}

function textsOf(image: ExportImage): Text[] {
  const { theme, width, labelWidth, lines, scrollTop, bodyHeight } = image;
  const sans = (weight: number, size: number) => ({ weight, size, family: SANS });
  const head = headHeightOf(image);
  const heading = { x: 14, color: theme.text, room: width - 28 };
  const texts: Text[] = [
    { ...heading, text: image.title, y: 15, font: sans(600, 15) },
    ...image.headings.map((text, line) => {
      const y = TITLE_HEIGHT + (line + 0.4) * HEADING_HEIGHT;
      return { ...heading, text, y, font: sans(400, 12), color: theme.muted };
    }),
    ...image.names.map(({ text, middle }) => ({
      ...{ text, x: 26, y: middle + head, font: sans(600, 13) },
      ...{ color: theme.text, room: labelWidth - 40 },
    })),
    ...image.panes.map(({ text, middle }) => {
      return { ...heading, text, y: middle + head, font: sans(600, 12) };
    }),
    ...image.captions.map(({ text, left, middle }) => ({
      ...{ text, x: left, y: middle + head, font: sans(400, 11) },
      ...{ color: theme.muted, room: width - left },
    })),
  ];
  const tops = image.panes.length > 0 ? image.panes.map(({ top }) => top) : [image.top];
  for (const top of tops.map((top) => top + head)) {
    for (const line of linesWithin(lines, scrollTop, scrollTop + bodyHeight)) {
      const y = top + line.top - scrollTop + line.height / 2;
      texts.push({ ...labelOf(line, image), y, clip: [top, top + bodyHeight] });
    }
  }
  return texts;
}

function labelOf(line: Line, { labelWidth, theme }: ExportImage): Omit<Text, "y"> {
  const color = theme.text;
  if (line.kind === "lane") {
    const font = { weight: 600, size: 13, family: SANS };
    return { text: line.lane.label, x: 26, font, color, room: labelWidth - 30 };
  }
  const depth = line.kind === "group" ? line.group.depth : line.depth;
  const x = 26 + depth * 12;
  const room = labelWidth - x - 8;
  const text = line.kind === "group" ? visibleName(line.group.label) : tailOf(line.label, room);
  const font = { weight: line.kind === "group" ? 600 : 400, size: 11, family: MONO };
  return { text, x, font, color, room };
}

/** The end of a name identifies it better than its beginning. */
function tailOf(name: string, room: number): string {
  const longest = Math.floor(room / CHARACTER);
  const visible = visibleName(name);
  return visible.length <= longest ? visible : `…${splitName(name, longest - 1).tail}`;
}
