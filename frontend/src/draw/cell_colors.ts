/** Colors as the 32-bit words of ImageData, and the look-up table of the palette. */

import { scaleLinear } from "d3-scale";
import { interpolateCividis } from "d3-scale-chromatic";
import { type Magnitude, TABLE_SIZE } from "../model/magnitude";
import { MARKS, type MarkName } from "../model/marks";
import {
  DARK,
  DEPARTURES_DARK,
  DEPARTURES_LIGHT,
  DIVERGING_DARK,
  DIVERGING_LIGHT,
  MARK_COLORS,
  type Theme,
} from "../theme/colors";

/** A color as one word: bytes R, G, B, A in memory, on the little-endian machines there are. */
export function colorWord(color: string): number {
  const hex = /^#([0-9a-f]{6})$/i.exec(color);
  if (hex) {
    const rgb = Number.parseInt(hex[1] as string, 16);
    return word(rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff);
  }
  const channels = /^rgb\((\d+), *(\d+), *(\d+)\)$/.exec(color);
  if (!channels) throw new Error(`Got the color ${color} where #rrggbb or rgb() was expected.`);
  return word(Number(channels[1]), Number(channels[2]), Number(channels[3]));
}

function word(red: number, green: number, blue: number): number {
  return ((0xff << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Cividis: perceptually uniform, also with color vision deficiency. */
export const paletteColor = interpolateCividis;

/** A square texture that repeats over a cell. */
export interface Tile {
  size: number;
  pixels: Uint32Array;
}

/** What cells are painted with, for one theme on one screen. */
export interface CellColors {
  table: Uint32Array;
  /** The table of differences. */
  diverging: Uint32Array;
  /** The table of instability. */
  departures: Uint32Array;
  /** Its upper half: from nothing to worry about to the worst. */
  alarming: Uint32Array;
  zero: number;
  zeroLine: number;
  none: Tile;
  skipped: Tile;
  marks: { flag: number; tile: Tile }[];
}

/** In CSS pixels; a multiple of every texture's period. */
const TILE_SIZE = 12;

/** Whether a texture's line passes a place, in CSS pixels: stripes, bars and dots. */
const TEXTURES: Record<MarkName, (x: number, y: number) => boolean> = {
  nan: (x, y) => (x + y) % 6 < 2,
  pos_inf: (_x, y) => y % 4 < 1,
  neg_inf: (x, y) => x % 4 < 1 && y % 4 < 1,
};

const known = new WeakMap<Theme, Map<number, CellColors>>();

/** Computed once for each theme and density: scrolling needs them at every frame. */
export function cellColorsOf(theme: Theme, density: number): CellColors {
  const ofTheme = known.get(theme) ?? new Map<number, CellColors>();
  known.set(theme, ofTheme);
  const colors = ofTheme.get(density) ?? mix(theme, Math.max(1, Math.round(density)));
  ofTheme.set(density, colors);
  return colors;
}

function mix(theme: Theme, unit: number): CellColors {
  const tile = (line: string, ground: string, drawn: (x: number, y: number) => boolean): Tile => {
    const [lineWord, groundWord] = [colorWord(line), colorWord(ground)];
    const size = TILE_SIZE * unit;
    const pixels = Uint32Array.from({ length: size * size }, (_, index) => {
      const [x, y] = [index % size, Math.floor(index / size)];
      return drawn(x / unit, y / unit) ? lineWord : groundWord;
    });
    return { size, pixels };
  };
  const departures = theme === DARK ? DEPARTURES_DARK : DEPARTURES_LIGHT;
  return {
    table: Uint32Array.from({ length: TABLE_SIZE }, (_, index) =>
      colorWord(paletteColor(index / (TABLE_SIZE - 1))),
    ),
    diverging: tableOf(theme === DARK ? DIVERGING_DARK : DIVERGING_LIGHT),
    departures: tableOf(departures),
    alarming: tableOf(departures.slice(Math.floor(departures.length / 2))),
    zero: colorWord(theme.zero),
    zeroLine: colorWord(theme["zero-line"]),
    none: tile(theme.none, theme.ground, (x, y) => (x + y) % 4 < 1),
    skipped: tile("#101418", "#ffffff", (x) => x % 4 >= 2),
    marks: MARKS.map(({ flag, name }) => {
      const { texture, fill } = MARK_COLORS[name];
      return { flag, tile: tile(texture, fill, TEXTURES[name]) };
    }),
  };
}

/** The colors with the table that a magnitude is drawn with. */
export function colorsFor(colors: CellColors, { scale, signed }: Magnitude): CellColors {
  if (signed) return { ...colors, table: colors.diverging };
  if (scale === "decades" || scale === "ratio") return { ...colors, table: colors.departures };
  return scale === "headroom" ? { ...colors, table: colors.alarming } : colors;
}

function tableOf(colors: readonly string[]): Uint32Array {
  const color = scaleLinear<string>()
    .domain(colors.map((_, index) => (index / (colors.length - 1)) * (TABLE_SIZE - 1)))
    .range(colors);
  return Uint32Array.from({ length: TABLE_SIZE }, (_, index) => colorWord(color(index)));
}
