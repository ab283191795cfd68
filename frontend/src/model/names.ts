/** Names of tensors as text that fits a line. Names come from user code: any characters, any length. */

import type { Tensor } from "../wire/answers";
import { ROLES } from "../wire/schema";

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
 * Two parts of a name, for an ellipsis in the middle: the head is shortened where there is no room,
 * the tail stays. Siblings differ in it: the last two parts of a path, or the last one.
 */
export function splitName(name: string, longestTail: number): SplitName {
  const visible = visibleName(name);
  const parts = visible.split("/");
  const two = parts.slice(-2).join("/");
  const tail = two.length <= longestTail ? two : (parts.at(-1) ?? "");
  // Counted in code points: half of a pair is no character.
  const shown = tail.length <= longestTail ? tail : [...tail].slice(-longestTail >> 1).join("");
  const head = visible.slice(0, visible.length - shown.length);
  return { head: head.slice(0, LONGEST), tail: shown };
}

/** The whole name for a tooltip or a heading, cut in the middle only where it is absurdly long. */
export function wholeName(name: string): string {
  const visible = visibleName(name);
  if (visible.length <= LONGEST) return visible;
  const half = LONGEST / 2;
  return `${visible.slice(0, half)} … ${visible.slice(-half)}`;
}

/** "input", "activation gradient": a role within a sentence. */
export function roleName(role: string): string {
  return ROLES.some((known) => known.name === role) ? role.replace(/_/g, " ") : visibleName(role);
}

/** "gradient dense/kernel"; "input" alone for an input of that name. */
export function tensorTitle({ role, name }: Pick<Tensor, "role" | "name">): string {
  const [ofRole, named] = [roleName(role), visibleName(name)];
  return ofRole === named ? named : `${ofRole} ${named}`;
}

/** "64 × 128 float32". */
export function formatShape({ shape, dtype }: Pick<Tensor, "shape" | "dtype">): string {
  if (shape === null) return `unknown shape, ${dtype}`;
  if (shape.length === 0) return `scalar ${dtype}`;
  return `${shape.map((size) => (size < 0 ? "?" : String(size))).join(" × ")} ${dtype}`;
}
