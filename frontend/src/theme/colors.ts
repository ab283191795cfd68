/**
 * Every color of the tab, once: canvases take them from here, and style sheets as custom
 * properties of the same names. Text has a contrast of at least 4.5 to its ground in both themes.
 */

import type { MarkName } from "../model/marks";

export interface MarkColors {
  fill: string;
  /** The texture on the fill: a mark is never known by its color alone, nor lost in print. */
  texture: string;
  /** The badge on the first bad cell of a row, and the glyph on it. */
  badge: string;
  glyph: string;
}

/** Reserved: no other color of the tab or of the palette is close to these. */
export const MARK_COLORS: Record<MarkName, MarkColors> = {
  nan: { fill: "#040406", texture: "#9a9aa6", badge: "#e0009b", glyph: "#ffffff" },
  pos_inf: { fill: "#ff5a1f", texture: "#1b0a02", badge: "#ff5a1f", glyph: "#1b0a02" },
  neg_inf: { fill: "#19c3ef", texture: "#02161c", badge: "#19c3ef", glyph: "#02161c" },
};

export interface Theme {
  ground: string;
  surface: string;
  raised: string;
  line: string;
  strong: string;
  text: string;
  muted: string;
  accent: string;
  "accent-ground": string;
  alarm: string;
  "alarm-ground": string;
  calm: string;
  caution: string;
  "caution-ground": string;
  /** Cells: texture of "nothing recorded", ground and line of an exact zero. */
  none: string;
  zero: string;
  "zero-line": string;
  positive: string;
  negative: string;
}

export const LIGHT: Theme = {
  ground: "#ffffff",
  surface: "#f5f6f8",
  raised: "#ffffff",
  line: "#dde1e7",
  strong: "#b4bcc8",
  text: "#1a1f27",
  muted: "#57616f",
  accent: "#1f5fd0",
  "accent-ground": "#e6eefc",
  alarm: "#a80074",
  "alarm-ground": "#fdeef8",
  calm: "#1b7048",
  caution: "#7a5200",
  "caution-ground": "#fdf5e0",
  none: "#e3e6eb",
  zero: "#e9ecf1",
  "zero-line": "#8c96a5",
  positive: "#2a5b9c",
  negative: "#a8843a",
};

export const DARK: Theme = {
  ground: "#14171c",
  surface: "#1b1f26",
  raised: "#232830",
  line: "#2e353f",
  strong: "#4b5563",
  text: "#e3e7ed",
  muted: "#9ba6b5",
  accent: "#86b3ff",
  "accent-ground": "#1d2c47",
  alarm: "#ff85cf",
  "alarm-ground": "#35142a",
  calm: "#6fcf9f",
  caution: "#e8bd62",
  "caution-ground": "#332a14",
  none: "#262c35",
  zero: "#2b313b",
  "zero-line": "#8391a3",
  positive: "#7aa7e0",
  negative: "#d8b25f",
};

/** Differences from "less" over "the same" to "more": brown and teal, distinct also with color vision deficiency. */
export const DIVERGING_LIGHT = ["#7a4a08", "#c79a4b", "#f1f2f4", "#62b3a8", "#00584f"] as const;
export const DIVERGING_DARK = ["#f2c46d", "#9c7432", "#2a3038", "#31817a", "#7fe3d3"] as const;

/**
 * Instability, in equal steps of decades from far below the usual level over it, in the middle, to
 * far above: blue and brown, which any color vision tells apart. Within half a decade nearly nothing
 * shows: a step that differs from the next is normal.
 */
export const DEPARTURES_LIGHT = [
  ...["#14307a", "#3056ad", "#5a7fcb", "#8faae0", "#bfcfee", "#e0e5f0"],
  "#e9ebee",
  ...["#ede5d3", "#f3d28c", "#e5ab3c", "#c67f12", "#985608", "#6a3400"],
] as const;
export const DEPARTURES_DARK = [
  ...["#bcd0ff", "#8eacf5", "#6385d6", "#4463ab", "#35497a", "#2b3446"],
  "#272d36",
  ...["#38352f", "#5c4a24", "#8d6a22", "#bf8f2f", "#e8b956", "#ffe1a0"],
] as const;

/** The custom properties of a theme, for a style sheet. */
export function customProperties(theme: Theme): string {
  const names = Object.entries(theme).map(([name, color]) => `--${name}:${color}`);
  const marks = Object.entries(MARK_COLORS).flatMap(([name, { fill, badge }]) => [
    `--${name.replace("_", "-")}:${fill}`,
    `--${name.replace("_", "-")}-badge:${badge}`,
  ]);
  return [...names, ...marks].join(";");
}
