/** What the colors mean: the palette with its ticks, then the reserved colors and textures. */

import { useEffect, useRef } from "preact/hooks";
import { surfaceOf } from "../draw/canvas";
import { cellColorsOf, colorsFor } from "../draw/cell_colors";
import { drawGlyph } from "../draw/glyphs";
import { paintStrip } from "../draw/raster";
import { legendTicks, type Magnitude } from "../model/magnitude";
import { MARKS, RECORDED, SCALE_SKIPPED } from "../model/marks";
import { MARK_COLORS, type Theme } from "../theme/colors";
import type { Grid } from "../wire/grid";
import type { Scale, StatisticName } from "../wire/schema";

/** The unit of the palette. */
const UNITS: Record<StatisticName, string> = {
  instability: "Each row's L2 norm",
  nonfinite: "NaN/Inf elements",
  norm: "L2 norm",
  largest_magnitude: "max abs",
  zero_share: "zeros",
  headroom: "Room to the dtype's limit",
  update_ratio: "Update or gradient / weight",
};

/** Scales whose ticks are words. */
const WORDED: ReadonlySet<Scale> = new Set(["decades", "headroom", "ratio"]);

const PALETTE_WIDTH = 150;
/** Its ticks are words. */
const WIDE_PALETTE_WIDTH = 400;
const SWATCH_WIDTH = 16;
const HEIGHT = 12;

interface LegendProps {
  /** The grid of the whole run. */
  grid: Grid | undefined;
  magnitude: Magnitude | undefined;
  theme: Theme;
}

export function Legend({ grid, magnitude, theme }: LegendProps) {
  if (!magnitude || !grid) return <div class="legend" />;
  const skipped = grid.flags.some((flags) => flags & SCALE_SKIPPED);
  const zero = magnitude.scale === "count" ? 0 : Number.NEGATIVE_INFINITY;
  return (
    <ul class="legend" aria-label="Legend">
      <li class="measured">
        {UNITS[grid.statistic]}
        <Palette magnitude={magnitude} theme={theme} />
      </li>
      {MARKS.map(({ name, label, flag }) => (
        <Swatch
          key={name}
          label={label}
          flags={RECORDED | flag}
          value={0}
          theme={theme}
          magnitude={magnitude}
        />
      ))}
      {magnitude.scale !== "share" && (
        <Swatch label="zero" flags={RECORDED} value={zero} theme={theme} magnitude={magnitude} />
      )}
      <Swatch
        label={grid.scale === "ratio" ? "no ratio" : "not recorded"}
        flags={0}
        value={0}
        theme={theme}
        magnitude={magnitude}
      />
      {skipped && (
        <Swatch
          label="skipped by loss scaling"
          flags={RECORDED | SCALE_SKIPPED}
          value={magnitude.scale === "decades" ? 0 : magnitude.low}
          theme={theme}
          magnitude={magnitude}
        />
      )}
    </ul>
  );
}

/** The colors with their ticks. */
export function Palette({ magnitude, theme }: { magnitude: Magnitude; theme: Theme }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const isWide = WORDED.has(magnitude.scale) && !magnitude.signed;
  useEffect(() => {
    if (!canvas.current) return;
    const surface = surfaceOf(canvas.current, isWide ? WIDE_PALETTE_WIDTH : PALETTE_WIDTH, HEIGHT);
    if (!surface) return;
    const colors = colorsFor(cellColorsOf(theme, surface.density), magnitude).table;
    const image = surface.context.createImageData(canvas.current.width, canvas.current.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let index = 0; index < pixels.length; index++) {
      const at = (index % image.width) / (image.width - 1);
      pixels[index] = colors[Math.round(at * (colors.length - 1))] as number;
    }
    surface.context.putImageData(image, 0, 0);
  }, [theme, magnitude, isWide]);
  return (
    <div class={isWide ? "palette wide" : "palette"}>
      <canvas ref={canvas} />
      <div>
        {legendTicks(magnitude).map(({ at, text }) => (
          <span class="tick" key={at} style={{ left: `${at * 100}%` }}>
            {text}
          </span>
        ))}
      </div>
    </div>
  );
}

interface SwatchProps {
  label: string;
  flags: number;
  value: number;
  theme: Theme;
  magnitude: Magnitude;
}

/** Painted by what paints the cells, so that it cannot differ from them. */
function Swatch({ label, flags, value, theme, magnitude }: SwatchProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (!canvas.current) return;
    const surface = surfaceOf(canvas.current, SWATCH_WIDTH, HEIGHT);
    if (!surface) return;
    const { context, density } = surface;
    const image = context.createImageData(canvas.current.width, canvas.current.height);
    const { width, height } = image;
    const raster = { pixels: new Uint32Array(image.data.buffer), width, height, density };
    const strip = { value: Float32Array.of(value), flags: Uint8Array.of(flags) };
    paintStrip(
      raster,
      0,
      height,
      { begin: 0, edges: Int32Array.of(0, width) },
      strip,
      magnitude,
      colorsFor(cellColorsOf(theme, density), magnitude),
    );
    context.putImageData(image, 0, 0);
    const mark = MARKS.find((candidate) => flags & candidate.flag);
    if (mark) {
      const { glyph } = MARK_COLORS[mark.name];
      drawGlyph(context, mark.name, SWATCH_WIDTH / 2, HEIGHT / 2, 7, glyph);
    }
  }, [theme, magnitude, flags, value]);
  return (
    <li class="swatch">
      <canvas ref={canvas} />
      {label}
    </li>
  );
}
