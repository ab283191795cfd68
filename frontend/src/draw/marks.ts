/** Glyphs over the cells: in each non-finite cell that is wide enough, else where a stretch begins. */

import { MARKS, NONFINITE } from "../model/marks";
import { columnSpan, type Timeline } from "../model/timeline";
import { MARK_COLOURS } from "../theme/colours";
import { drawGlyph, drawTile } from "./glyphs";
import type { Strip } from "./raster";

const WIDE_ENOUGH = 9;

export function drawMarks(
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  { flags }: Strip,
  top: number,
  height: number,
  ground: string,
): void {
  let before = 0;
  for (let column = 0; column < timeline.columns; column++) {
    const marked = (flags[column] as number) & NONFINITE;
    const begins = marked !== 0 && before === 0;
    before = marked;
    if (marked === 0) continue;
    const [left, right] = columnSpan(timeline, column);
    const marks = MARKS.filter((mark) => marked & mark.flag);
    const band = height / marks.length;
    const wide = right - left >= WIDE_ENOUGH;
    if (!wide && !begins) continue;
    marks.forEach(({ name }, index) => {
      const size = Math.min(wide ? right - left : band, band, 14) - 2;
      const middle = top + (index + 0.5) * band;
      if (wide) {
        const glyph = Math.min(7, size);
        drawGlyph(context, name, (left + right - 1) / 2, middle, glyph, MARK_COLOURS[name].glyph);
        return;
      }
      // Upon the first bad cell and over what came before it: what is bad stays in sight.
      const x = Math.max(0, Math.min(right, timeline.width) - size - 1);
      drawTile(context, name, x, middle - size / 2, size, ground);
    });
  }
}
