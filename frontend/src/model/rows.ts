/** Which tensors are shown, and in which order. */

import type { Finding, Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";
import { gridRow } from "./cells";
import { tensorOf } from "./findings";
import { NONFINITE } from "./marks";
import { roleName } from "./names";

export const ORDERS = [
  { name: "model", label: "Model order" },
  { name: "first", label: "First NaN or Inf" },
  { name: "largest", label: "Largest value" },
] as const;

export type Order = (typeof ORDERS)[number]["name"];

export type Filter =
  | { kind: "all" }
  | { kind: "matches"; test: (tensor: Tensor) => boolean }
  | { kind: "wrong"; message: string };

/** `text` is words that must all occur in a tensor's role or name, or a /regular expression/. */
export function filterOf(text: string): Filter {
  const trimmed = text.trim();
  if (trimmed === "") return { kind: "all" };
  const expression = /^\/(.*?)\/?$/s.exec(trimmed)?.[1];
  if (expression === undefined) {
    const words = trimmed.toLowerCase().split(/\s+/);
    return {
      kind: "matches",
      test: (tensor) => {
        const within = searched(tensor).toLowerCase();
        return words.every((word) => within.includes(word));
      },
    };
  }
  try {
    const pattern = new RegExp(expression, "i");
    return { kind: "matches", test: (tensor) => pattern.test(searched(tensor)) };
  } catch {
    return { kind: "wrong", message: `Invalid regular expression: ${trimmed}` };
  }
}

function searched({ role, name, layer, worker }: Tensor): string {
  return [roleName(role), name, layer, worker].filter(Boolean).join(" ");
}

/** Whether a tensor is of a layer; one without an owner is of the layer that its path names. */
export function isOfLayer({ layer, name }: Pick<Tensor, "layer" | "name">, path: string): boolean {
  return layer === path || (layer === "" && name.slice(0, name.lastIndexOf("/")) === path);
}

/** Ids of the tensors that had a NaN or Inf, or that a finding names. */
export function affectedTensors(
  tensors: readonly Tensor[],
  findings: readonly Finding[],
): Set<string> {
  const nonfinite = tensors.filter(({ first_nonfinite_step }) => first_nonfinite_step !== null);
  const named = findings
    .filter(({ severity }) => severity !== "info")
    .flatMap(({ origin, affected }) => [origin, ...affected])
    .flatMap((place) => tensorOf(place, tensors) ?? []);
  return new Set([...nonfinite, ...named].map(({ id }) => id));
}

/** The tensors in an order; those that it does not rank stay in model order, at the end. */
export function inOrder(
  tensors: readonly Tensor[],
  order: Order,
  grid: Grid | undefined,
): readonly Tensor[] {
  if (order === "model") return tensors;
  const key =
    order === "first" ? firstNonfiniteStep : (tensor: Tensor) => -largestValue(tensor, grid);
  const keys = new Map(tensors.map((tensor) => [tensor.id, key(tensor)]));
  const keyOf = ({ id }: Tensor) => keys.get(id) as number;
  return [...tensors].sort((a, b) => {
    const [one, other] = [keyOf(a), keyOf(b)];
    return one === other ? 0 : one - other;
  });
}

function firstNonfiniteStep({ first_nonfinite_step }: Tensor): number {
  return first_nonfinite_step ?? Number.POSITIVE_INFINITY;
}

/** A NaN or Inf counts as larger than any value. */
function largestValue(tensor: Tensor, grid: Grid | undefined): number {
  const strip = grid && gridRow(grid, tensor.id);
  if (!strip) return Number.NEGATIVE_INFINITY;
  if (strip.flags.some((flags) => flags & NONFINITE)) return Number.POSITIVE_INFINITY;
  const isDecades = grid.scale === "decades";
  return strip.value.reduce((most, value) => {
    const size = isDecades && value !== Number.NEGATIVE_INFINITY ? Math.abs(value) : value;
    return size > most ? size : most;
  }, Number.NEGATIVE_INFINITY);
}
