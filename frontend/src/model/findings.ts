/** Findings: which one comes first, which tensor they are about, and their texts in pieces. */

import type { Finding, FindingPlace, Tensor } from "../wire/answers";
import { ROLES, type Severity } from "../wire/schema";
import { roleName, tensorTitle, visibleName } from "./names";

export function severityLabel(severity: Severity): string {
  return { error: "Error", warning: "Warning", info: "Note" }[severity] ?? visibleName(severity);
}

/** Index of the finding that the page opens with: the first error, else the first warning, else -1. */
export function primaryFinding(findings: readonly Finding[]): number {
  for (const severity of ["error", "warning"] as const) {
    const index = findings.findIndex((finding) => finding.severity === severity);
    if (index >= 0) return index;
  }
  return -1;
}

/** The tensor of a place; undefined where the run has no such tensor. */
export function tensorOf(place: FindingPlace, tensors: readonly Tensor[]): Tensor | undefined {
  const named = tensors.filter(({ role, name }) => role === place.role && name === place.tensor);
  const ofLayer = named.filter(({ layer }) => layer === place.layer);
  const candidates = ofLayer.length > 0 ? ofLayer : named;
  return candidates.find(({ worker }) => worker === (place.worker ?? "")) ?? candidates[0];
}

/** A cell of the heatmap with what began there. */
export interface Origin {
  tensor: Tensor;
  step: number;
  severity: Severity;
}

/** Where a finding began; where that was not recorded, the first recorded tensor that it spread to. */
export function originOf(
  { origin, affected, step, severity }: Finding,
  tensors: readonly Tensor[],
): Origin | null {
  for (const place of [{ ...origin, step }, ...affected]) {
    const tensor = tensorOf(place, tensors);
    if (tensor) return { tensor, step: place.step, severity };
  }
  return null;
}

/** Code of several lines as one: a statement that is broken within brackets is joined. */
export function codeInOneLine(code: string): string {
  let line = "";
  let depth = 0;
  for (const text of code.split("\n")) {
    const piece = text.replace(/\s+#.*$/, "").trim();
    if (piece === "" || piece.startsWith("#")) continue;
    if (line !== "") line += depth > 0 ? (/[([{]$/.test(line) ? "" : " ") : "; ";
    line += piece;
    for (const one of piece) depth += "([{".includes(one) ? 1 : ")]}".includes(one) ? -1 : 0;
  }
  return line.replace(/,?\s+([)\]}])/g, "$1");
}

/** The first sentence of a text, for a single line. */
export function firstSentence(text: string): string {
  return /^[\s\S]*?[.:](?=\s|$)/.exec(text)?.[0] ?? text;
}

/** "gradient dense/kernel", "gradient dense/kernel on worker1". */
export function placeTitle({ role, tensor, worker }: FindingPlace): string {
  const title = tensorTitle({ role, name: tensor });
  return worker ? `${title} on ${visibleName(worker)}` : title;
}

/** "gradient dense/kernel" without what is before the last two parts of its path. */
export function shortTitle({ role, tensor }: Pick<FindingPlace, "role" | "tensor">): string {
  return tensorTitle({ role, name: tensor.split("/").slice(-2).join("/") });
}

/** What would have pinpointed the origin, as a sentence: "… also record activations:". */
export function recordAlsoText(roles: readonly string[]): string {
  const labels = roles.map(
    (role) => ROLES.find(({ name }) => name === role)?.label.toLowerCase() ?? roleName(role),
  );
  return `To pinpoint the origin, also record ${labels.join(", ")}:`;
}

/** The arguments that record more roles, as Python code. */
export function recordAlsoCode(roles: readonly string[]): string {
  const watched = ["default", ...roles].map((role) => `"${role}"`).join(", ");
  const observed = roles.map((role) => `${role}=...`).join(", ");
  return `nanwatch.Callback(log_dir, watch=[${watched}])\nwatcher.observe(${observed})  # in a loop of your own`;
}

/** A piece of a text: prose or code. */
export interface TextSegment {
  code: boolean;
  /** A block of its own, not a word of the sentence. */
  block: boolean;
  text: string;
}

/** Splits a text at its code, which is between backticks or fences. */
export function segmentsOf(text: string): TextSegment[] {
  const pieces = text.split(/```(?:\w*\n)?([\s\S]*?)```|`([^`\n]+)`/);
  const segments: TextSegment[] = [];
  for (let index = 0; index < pieces.length; index += 3) {
    const [prose, block, inline] = pieces.slice(index, index + 3);
    if (prose) segments.push({ code: false, block: false, text: prose });
    if (block !== undefined) segments.push({ code: true, block: true, text: block.trimEnd() });
    if (inline !== undefined) segments.push({ code: true, block: false, text: inline });
  }
  return segments;
}

/** A text where code cannot be marked: without its backticks. */
export function plainText(text: string): string {
  return segmentsOf(text)
    .map((segment) => segment.text)
    .join("");
}
