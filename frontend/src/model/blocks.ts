/** Blocks of a network by the names of their layers: `block_1_expand` is in `block_1`. */

import type { Tensor } from "../wire/answers";

export interface NamePart {
  /** With the separator before it, so that the parts together are the name. */
  text: string;
  /** The name of a variable within its layer: `moving_mean` is in no block `moving`. */
  whole: boolean;
}

const WORDS = /(?=[_.-])/;
const NUMBER = /^[_.-]?\d+$/;
/** The end of a block's name: `block_1`, `block1a`. */
const NUMBERED = /\d[a-z]?$/i;
/** Dimensions are no numbers: `conv2d_transpose` is in no block `conv2d`. */
const DIMENSIONS = /(conv|pool|ing|dropout)[123]d$/i;
/** What tells layers of one kind apart: `dense_1`, and the second call `dense#2`. */
const SUFFIX = /([_.-]\d+)?(#\d+)?$/;

type Named = Pick<Tensor, "name" | "layer">;

// Thousands of names at each letter of a filter.
const known = new WeakMap<Named, NamePart[]>();

/** The parts of a tensor's name: those of its path, and the numbered blocks within each of them. */
export function partsOf(tensor: Named): readonly NamePart[] {
  const parts = known.get(tensor) ?? split(tensor);
  known.set(tensor, parts);
  return parts;
}

function split({ name, layer }: Named): NamePart[] {
  const path = name.split(/(?=\/)/);
  const isVariable = layer ? layer !== name : path.length > 1;
  return path.flatMap((text, index) => {
    const whole = isVariable && index === path.length - 1;
    const texts = whole ? [text] : numberedBlocks(text);
    return texts.map((text) => ({ text, whole }));
  });
}

/** "conv2_block1_1_conv" as "conv2", "_block1", "_1_conv"; the last number of "dense_1" is none. */
function numberedBlocks(text: string): string[] {
  const words = text.split(WORDS);
  const blocks: string[] = [];
  let block = "";
  words.forEach((word, index) => {
    block += word;
    const ends = NUMBERED.test(word) && !DIMENSIONS.test(word) && /[a-z]/i.test(block);
    if (!ends || words.slice(index + 1).every((rest) => NUMBER.test(rest))) return;
    blocks.push(block);
    block = "";
  });
  return block ? [...blocks, block] : blocks;
}

/**
 * The words that names one after another begin with, where those are a block: "stem" of "stem_conv"
 * and "stem_bn". Layers of one kind are none: "dense", "dense_1".
 */
export function sharedWords(names: readonly string[]): string {
  const [first = [], ...others] = names.map((name) => name.split(WORDS));
  const differs = first.findIndex((word, at) => others.some((words) => words[at] !== word));
  const shared = (differs < 0 ? first : first.slice(0, differs)).join("");
  const kinds = new Set(names.map((name) => name.replace(SUFFIX, "")));
  const isNumbered = names.some((name) => NUMBER.test(name.slice(shared.length)));
  return kinds.size < 2 || isNumbered || DIMENSIONS.test(shared) ? "" : shared;
}

/** The first word of a name. */
export function firstWord(name: string): string {
  return name.split(WORDS, 1)[0] as string;
}

/** Whether a part goes on with a name, and begins no part of the path. */
export function isWithinName(part: string): boolean {
  return /^[_.-]/.test(part);
}
