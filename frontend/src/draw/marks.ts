/** Glyphs over cells with NaN or Inf: in each one that is wide enough, else where a run of them begins. */

import type { Strip } from "../model/cells";
import { MARKS, type Mark, NONFINITE } from "../model/marks";
import { columnSpan, type Timeline, visibleColumns } from "../model/timeline";
import { MARK_COLORS } from "../theme/colors";
import { drawGlyph, drawTile } from "./glyphs";

const WIDE_ENOUGH = 9;
/** Room for the outline of a selected cell. */
const DISTANCE = 4;

export function drawMarks(
  context: CanvasRenderingContext2D,
  timeline: Timeline,
  { flags }: Strip,
  top: number,
  height: number,
  ground: string,
): void {
  const [begin, end] = visibleColumns(timeline);
  // A run of cells that began out of view does not begin again at its edge.
  let last = begin > 0 ? (flags[begin - 1] as number) & NONFINITE : 0;
  for (let column = begin; column < end; column++) {
    const marked = (flags[column] as number) & NONFINITE;
    const begins = marked !== 0 && last === 0;
    last = marked;
    if (marked === 0) continue;
    const span = columnSpan(timeline, column);
    const [left, right] = [Math.max(0, span[0]), Math.min(timeline.width, span[1])];
    const marks = MARKS.filter((mark) => marked & mark.flag);
    if (right - left >= WIDE_ENOUGH) drawInBands(context, marks, left, right, top, height);
    else if (begins) drawBeside(context, marks, left, right, top, height, ground);
  }
}

/** A glyph in each band of the cell. */
function drawInBands(
  context: CanvasRenderingContext2D,
  marks: readonly Mark[],
  left: number,
  right: number,
  top: number,
  height: number,
): void {
  const band = height / marks.length;
  const size = Math.min(7, band - 2, right - left - 3);
  marks.forEach(({ name }, index) => {
    const middle = top + (index + 0.5) * band;
    drawGlyph(context, name, (left + right - 1) / 2, middle, size, MARK_COLORS[name].glyph);
  });
}

/** Tiles beside the first NaN or Inf, over the cells before it, so that it stays visible itself. */
function drawBeside(
  context: CanvasRenderingContext2D,
  marks: readonly Mark[],
  left: number,
  right: number,
  top: number,
  height: number,
  ground: string,
): void {
  const size = Math.min(height, 14) - 2;
  const width = marks.length * (size + 1) - 1;
  const before = left - width - DISTANCE;
  const x = before < 0 ? right + DISTANCE : before;
  marks.forEach(({ name }, index) => {
    drawTile(context, name, x + index * (size + 1), top + (height - size) / 2, size, ground);
  });
}
