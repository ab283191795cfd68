/** Colours as the 32-bit words of ImageData, and the look-up table of the palette. */

import { interpolateCividis } from "d3-scale-chromatic";
import { TABLE_SIZE } from "../model/magnitude";
import { MARKS } from "../model/marks";
import { MARK_COLOURS, type Theme } from "../theme/colours";

/** A colour as one word: bytes R, G, B, A in memory, on the little-endian machines there are. */
export function inkOf(colour: string): number {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour);
  if (hex) {
    const rgb = Number.parseInt(hex[1] as string, 16);
    return word(rgb >> 16, (rgb >> 8) & 0xff, rgb & 0xff);
  }
  const channels = /^rgb\((\d+), *(\d+), *(\d+)\)$/.exec(colour);
  if (!channels) throw new Error(`Got the colour ${colour} where #rrggbb or rgb() was expected.`);
  return word(Number(channels[1]), Number(channels[2]), Number(channels[3]));
}

function word(red: number, green: number, blue: number): number {
  return ((0xff << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Cividis: perceptually even, the same to eyes with and without colour deficiency. */
export const paletteColour = interpolateCividis;

export interface Inks {
  table: Uint32Array;
  ground: number;
  none: number;
  zero: number;
  zeroLine: number;
  skipDark: number;
  skipLight: number;
  marks: { flag: number; fill: number; texture: number }[];
}

const known = new WeakMap<Theme, Inks>();

/** Mixed once for each theme: a scroll asks for them at every frame. */
export function inksOf(theme: Theme): Inks {
  const inks = known.get(theme) ?? mix(theme);
  known.set(theme, inks);
  return inks;
}

function mix(theme: Theme): Inks {
  return {
    table: Uint32Array.from({ length: TABLE_SIZE }, (_, index) =>
      inkOf(paletteColour(index / (TABLE_SIZE - 1))),
    ),
    ground: inkOf(theme.ground),
    none: inkOf(theme.none),
    zero: inkOf(theme.zero),
    zeroLine: inkOf(theme["zero-line"]),
    skipDark: inkOf("#101418"),
    skipLight: inkOf("#ffffff"),
    marks: MARKS.map(({ flag, name }) => ({
      flag,
      fill: inkOf(MARK_COLOURS[name].fill),
      texture: inkOf(MARK_COLOURS[name].texture),
    })),
  };
}
