/** Glyphs over the cells: in each non-finite cell that is wide enough, else where a stretch begins. */

import { MARKS, NONFINITE } from "../model/marks";
import { columnSpan, type Timeline } from "../model/timeline";
import { MARK_COLOURS } from "../theme/colours";
import { drawGlyph, drawTile } from "./glyphs";
import type { Strip } from "./raster";

const WIDE_ENOUGH = 9;
/** Room for the outline of a selected cell. */
const APART = 4;

export function drawMarks(
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  { flags }: Strip,
  top: number,
  height: number,
  ground: string,
): void {
  let last = 0;
  for (let column = 0; column < timeline.columns; column++) {
    const marked = (flags[column] as number) & NONFINITE;
    const begins = marked !== 0 && last === 0;
    last = marked;
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
      // Beside the first bad cell, over what came before it: what is bad stays in sight.
      const before = left - size - APART;
      const x = before < 0 ? right + APART : before;
      drawTile(context, name, x, middle - size / 2, size, ground);
    });
  }
}
