import { describe, expect, test } from "vitest";
import { cellColorsOf, colorWord } from "../src/draw/cell_colors";
import { columnPixelsOf, paintStrip, type Raster } from "../src/draw/raster";
import { mergedStrip } from "../src/model/cells";
import { NAN, NEG_INF, POS_INF, RECORDED, SCALE_SKIPPED } from "../src/model/marks";
import { timelineOf, visibleColumns } from "../src/model/timeline";
import { DARK, LIGHT, MARK_COLORS } from "../src/theme/colors";

const magnitude = { scale: "log10", low: 0, high: 1 } as const;
const colors = cellColorsOf(LIGHT, 1);

function painted(value: number[], flags: number[], width: number, height = 12): Raster {
  const raster = { pixels: new Uint32Array(width * height), width, height, density: 1 };
  const edges = Int32Array.from({ length: value.length + 1 }, (_, column) =>
    Math.round((column * width) / value.length),
  );
  const strip = { value: Float32Array.from(value), flags: Uint8Array.from(flags) };
  paintStrip(raster, 0, height, { begin: 0, edges }, strip, magnitude, colors);
  return raster;
}

function colorsIn({ pixels, width }: Raster, left: number, right: number): Set<number> {
  return new Set(pixels.filter((_, index) => index % width >= left && index % width < right));
}

test("a color is a word of little-endian RGBA", () => {
  expect(colorWord("#102030")).toBe(0xff302010);
  expect(colorWord("rgb(16, 32, 48)")).toBe(0xff302010);
  expect(() => colorWord("red")).toThrow("Got the color red");
});

describe("a cell", () => {
  test("has its color of the table, low to high", () => {
    const raster = painted([0, 1], [RECORDED, RECORDED], 8);
    expect(colorsIn(raster, 0, 4)).toEqual(new Set([colors.table[0]]));
    expect(colorsIn(raster, 4, 8)).toEqual(new Set([colors.table[255]]));
  });

  test.each([
    ["nan", NAN],
    ["pos_inf", POS_INF],
    ["neg_inf", NEG_INF],
  ] as const)("with %s is filled with the reserved color and its texture alone", (name, flag) => {
    const { fill, texture } = MARK_COLORS[name];
    const seen = colorsIn(painted([0.5], [RECORDED | flag], 4), 0, 4);
    expect(seen).toEqual(new Set([colorWord(fill), colorWord(texture)]));
  });

  test("with several flags shows each of them", () => {
    const seen = colorsIn(painted([0.5], [RECORDED | NAN | POS_INF | NEG_INF], 4), 0, 4);
    for (const { fill } of Object.values(MARK_COLORS)) expect(seen).toContain(colorWord(fill));
  });

  test("where nothing was recorded differs from zero, and zero from the lowest value", () => {
    const [none, zero, low] = [
      painted([Number.NaN], [0], 4),
      painted([Number.NEGATIVE_INFINITY], [RECORDED], 4),
      painted([0], [RECORDED], 4),
    ].map((raster) => colorsIn(raster as Raster, 0, 4));
    expect(none).toEqual(new Set([colorWord(LIGHT.none), colorWord(LIGHT.ground)]));
    expect(zero).toEqual(new Set([colors.zero, colors.zeroLine]));
    expect(low).toEqual(new Set([colors.table[0]]));
  });

  test("of a handled overflow keeps its color and gets a foot", () => {
    const seen = colorsIn(painted([1], [RECORDED | SCALE_SKIPPED], 4), 0, 4);
    expect(seen).toEqual(new Set([colors.table[255], ...colors.skipped.pixels]));
  });

  test("narrower than a pixel is not lost to its neighbors", () => {
    const raster = { pixels: new Uint32Array(4), width: 4, height: 1, density: 1 };
    const flags = Uint8Array.of(RECORDED, RECORDED | NAN, RECORDED);
    const strip = { value: new Float32Array(3), flags };
    const columnPixels = { begin: 0, edges: Int32Array.of(0, 2, 2, 2) };
    paintStrip(raster, 0, 1, columnPixels, strip, magnitude, colors);
    const { fill, texture } = MARK_COLORS.nan;
    expect([colorWord(fill), colorWord(texture)]).toContain(raster.pixels[2]);
  });
});

test("columns meet without gap or overlap at any density", () => {
  for (const density of [1, 1.25, 2]) {
    const { edges } = columnPixelsOf(timelineOf([0, 3, 4, 9], 333), density);
    expect(edges[0]).toBe(0);
    expect([...edges]).toEqual([...edges].sort((a, b) => a - b));
    expect(edges.at(-1)).toBe(Math.round(Math.min(333, 9 * 28) * density));
  }
});

test("a bad cell at the right end is as wide as any", () => {
  const raster = { pixels: new Uint32Array(8), width: 8, height: 1, density: 1 };
  const strip = { value: new Float32Array(2), flags: Uint8Array.of(RECORDED, RECORDED | NAN) };
  paintStrip(raster, 0, 1, { begin: 0, edges: Int32Array.of(0, 8, 8) }, strip, magnitude, colors);
  const { fill, texture } = MARK_COLORS.nan;
  for (const x of [5, 6, 7])
    expect([colorWord(fill), colorWord(texture)]).toContain(raster.pixels[x]);
});

test("columns beyond the visible range are cut, and visible ones keep their values", () => {
  const timeline = timelineOf([0, 2, 4, 6], 28, { from: 3, to: 5 });
  const columnPixels = columnPixelsOf(timeline, 1, ...visibleColumns(timeline));
  expect(columnPixels).toEqual({ begin: 1, edges: Int32Array.of(-14, 14, 42) });
  const raster = { pixels: new Uint32Array(28), width: 28, height: 1, density: 1 };
  const strip = { value: Float32Array.of(0, 1, 0), flags: new Uint8Array(3).fill(RECORDED) };
  paintStrip(raster, 0, 1, columnPixels, strip, magnitude, colors);
  expect([raster.pixels[0], raster.pixels[27]]).toEqual([colors.table[255], colors.table[0]]);
});

test("a closed lane shows the largest value of its tensors", () => {
  const worst = mergedStrip(
    [
      { value: Float32Array.of(1, Number.NaN), flags: Uint8Array.of(8, 0) },
      { value: Float32Array.of(3, Number.NaN), flags: Uint8Array.of(9, 2) },
    ],
    2,
  );
  expect([...worst.value]).toEqual([3, Number.NaN]);
  expect([...worst.flags]).toEqual([9, 2]);
});

test("a closed lane shows the instability farthest from zero, and zero only where all is zero", () => {
  const nothing = Number.NEGATIVE_INFINITY;
  const strips = [
    { value: Float32Array.of(1, -2, nothing, nothing), flags: new Uint8Array(4).fill(RECORDED) },
    { value: Float32Array.of(-3, 1, -0.5, nothing), flags: new Uint8Array(4).fill(RECORDED) },
  ];
  for (const order of [strips, [...strips].reverse()]) {
    expect([...mergedStrip(order, 4, true).value]).toEqual([-3, -2, -0.5, nothing]);
  }
});

test("marks survive print in gray: each has a texture that stands out from its fill", () => {
  for (const { fill, texture } of Object.values(MARK_COLORS)) {
    expect(contrast(fill, texture)).toBeGreaterThanOrEqual(4.5);
  }
});

describe("the colors of instability", () => {
  const tables = [LIGHT, DARK].map((theme) => cellColorsOf(theme, 1).departures);

  test("are far from every mark's", () => {
    for (const table of tables) {
      for (const { fill } of Object.values(MARK_COLORS)) {
        const nearest = Math.min(...[...table].map((color) => distance(color, colorWord(fill))));
        expect(nearest).toBeGreaterThan(60);
      }
    }
  });

  test("go away from the middle in lightness on both sides, which blue and brown then tell apart", () => {
    for (const table of tables) {
      const light = [...table].map((color) => relativeLuminance(color));
      const middle = light[128] as number;
      for (let side = 0; side < 120; side++) {
        const [out, inner] = [light[side] as number, light[side + 8] as number];
        expect(Math.abs(out - middle)).toBeGreaterThanOrEqual(Math.abs(inner - middle) - 0.02);
        const [high, lower] = [light[255 - side] as number, light[247 - side] as number];
        expect(Math.abs(high - middle)).toBeGreaterThanOrEqual(Math.abs(lower - middle) - 0.02);
      }
      const [low, high] = [table[0] as number, table[255] as number];
      expect((low >> 16) & 0xff).toBeGreaterThan(low & 0xff);
      expect(high & 0xff).toBeGreaterThan((high >> 16) & 0xff);
    }
  });
});

/** Euclidean, in bytes of sRGB. */
function distance(one: number, other: number): number {
  return Math.hypot(...[0, 8, 16].map((bit) => ((one >> bit) & 0xff) - ((other >> bit) & 0xff)));
}

function relativeLuminance(color: number): number {
  const hex = [0, 8, 16].map((bit) => ((color >> bit) & 0xff).toString(16).padStart(2, "0"));
  return luminance(`#${hex.join("")}`);
}

test("text is readable on its ground in both themes", () => {
  for (const theme of [LIGHT, DARK]) {
    for (const ground of [theme.ground, theme.surface]) {
      for (const text of [theme.text, theme.muted, theme.accent, theme.alarm, theme.calm]) {
        expect(contrast(text, ground)).toBeGreaterThanOrEqual(4.5);
      }
    }
    expect(contrast(theme.caution, theme["caution-ground"])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.accent, theme["accent-ground"])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.text, theme["accent-ground"])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.muted, theme["accent-ground"])).toBeGreaterThanOrEqual(4.5);
  }
  for (const { badge, glyph } of Object.values(MARK_COLORS)) {
    expect(contrast(glyph, badge)).toBeGreaterThanOrEqual(4.5);
  }
});

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(one: string, other: string): number {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [
    number,
    number,
  ];
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
