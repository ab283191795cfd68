/** The flags of a grid's cell, and the labels and order of NaN and the infinities. */

export const NAN = 1;
export const POS_INF = 2;
export const NEG_INF = 4;
export const RECORDED = 8;
export const SCALE_SKIPPED = 16;
export const NONFINITE = NAN | POS_INF | NEG_INF;

export type MarkName = "nan" | "pos_inf" | "neg_inf";

export interface Mark {
  flag: number;
  /** Also the name of the column that counts it. */
  name: MarkName;
  label: string;
}

/** NaN first: it hides its origin, while an infinity still has a sign. */
export const MARKS: readonly Mark[] = [
  { flag: NAN, name: "nan", label: "NaN" },
  { flag: POS_INF, name: "pos_inf", label: "+Inf" },
  { flag: NEG_INF, name: "neg_inf", label: "−Inf" },
];

/** The marks that a cell carries. */
export function marksOf(flags: number): Mark[] {
  return MARKS.filter((mark) => flags & mark.flag);
}
