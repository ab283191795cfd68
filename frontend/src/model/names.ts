/** Names of tensors as text that fits a line. A name is the user's: any characters, any length. */

import type { Tensor } from "../wire/answers";

/** Longer names are cut before they reach the page: laying out 10,000 characters takes time. */
const LONGEST = 400;

const CONTROL = /\p{Cc}/gu;
// They would reorder the text around them.
const DIRECTION = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The name in one line of visible characters; "(no name)" for an empty one. */
export function visibleName(name: string): string {
  const visible = name.replace(CONTROL, controlPicture).replace(DIRECTION, "�");
  return visible.trim() === "" ? "(no name)" : visible;
}

function controlPicture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "�";
}

export interface SplitName {
  head: string;
  tail: string;
}

/**
 * Two parts of a name, for an ellipsis in the middle: the head gives way where there is no room,
 * the tail (what tells siblings apart: the last parts of a path) stays.
 */
export function splitName(name: string, longestTail = 24): SplitName {
  const visible = visibleName(name);
  const parts = visible.split("/");
  let tail = parts.pop() ?? "";
  while (parts.length > 0 && tail.length + (parts.at(-1)?.length ?? 0) + 1 <= longestTail) {
    tail = `${parts.pop()}/${tail}`;
  }
  const head = parts.length > 0 ? `${parts.join("/")}/` : "";
  if (tail.length <= longestTail) return { head: head.slice(0, LONGEST), tail };
  const cut = tail.length - Math.floor(longestTail / 2);
  return { head: (head + tail.slice(0, cut)).slice(0, LONGEST), tail: tail.slice(cut) };
}

/** The whole name for a tooltip or a heading, cut in the middle only where it is absurdly long. */
export function wholeName(name: string): string {
  const visible = visibleName(name);
  if (visible.length <= LONGEST) return visible;
  const half = LONGEST / 2;
  return `${visible.slice(0, half)} … ${visible.slice(-half)}`;
}

/** "64 × 128 float32". */
export function shapeText({ shape, dtype }: Pick<Tensor, "shape" | "dtype">): string {
  if (shape === null) return `unknown shape, ${dtype}`;
  if (shape.length === 0) return `scalar ${dtype}`;
  return `${shape.map((size) => (size < 0 ? "?" : String(size))).join(" × ")} ${dtype}`;
}
