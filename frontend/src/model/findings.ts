/** The findings in words: what broke, when, where. */

import type { Finding, FindingPlace, Severity, Tensor } from "../wire/answers";
import { visibleName } from "./names";
import { formatCount, formatCounted } from "./numbers";
import { roleName } from "./runs";

const CAUSES: Record<string, string> = {
  "nonfinite-input": "non-finite input data",
  "nonfinite-target": "non-finite target",
  "nonfinite-initial-weight": "non-finite weight before training",
  "layer-forward": "a layer’s forward pass",
  "loss-domain": "loss function outside its domain",
  "layer-backward": "a layer’s backward pass",
  "loss-backward": "the gradient of the loss",
  "optimizer-overflow": "overflow in the optimizer",
  "poisoned-statistics": "poisoned running statistics",
  "swallowed-nonfinite": "a swallowed non-finite value",
  "exploding-gradient": "exploding gradients",
  "vanishing-gradient": "vanishing gradients",
  "dead-layer": "a dead layer",
  "unscaled-input": "unscaled input",
  "unscaled-target": "unscaled target",
  "range-overflow-risk": "close to overflow",
  "range-underflow": "underflow",
  "loss-scale-backoff": "loss scale lowered",
  "loss-scale-collapse": "loss scale collapsed",
  divergence: "divergence",
};

/** The cause as words within a sentence; one of a newer version under its own name. */
export function causeWords(cause: string): string {
  return CAUSES[cause] ?? visibleName(cause).replaceAll("-", " ");
}

const WORST_FIRST: readonly Severity[] = ["error", "warning", "info"];

export function severityWord(severity: Severity): string {
  return { error: "Error", warning: "Warning", info: "Note" }[severity] ?? visibleName(severity);
}

/** "Broke at step 37", "Unstable from step 5": when, as a headline begins. */
export function whenWords({ cause, severity, step }: Finding): string {
  if (cause === "nonfinite-initial-weight") return `Broke before step ${formatCount(step)}`;
  if (severity === "error") return `Broke at step ${formatCount(step)}`;
  return severity === "warning"
    ? `Unstable from step ${formatCount(step)}`
    : `From step ${formatCount(step)}`;
}

/** The finding that the page opens with: the first error, else the first warning. */
export function primaryFinding(findings: readonly Finding[]): number {
  for (const severity of WORST_FIRST.slice(0, 2)) {
    const index = findings.findIndex((finding) => finding.severity === severity);
    if (index >= 0) return index;
  }
  return -1;
}

/** Where a place is among the run's tensors; undefined where it names none of them. */
export function tensorOf(place: FindingPlace, tensors: readonly Tensor[]): Tensor | undefined {
  const named = tensors.filter(({ role, name }) => role === place.role && name === place.tensor);
  const ofLayer = named.filter(({ layer }) => layer === place.layer);
  const candidates = ofLayer.length > 0 ? ofLayer : named;
  return candidates.find(({ worker }) => worker === (place.worker ?? "")) ?? candidates[0];
}

/** "gradient", "gradient on worker1": what a place is, without its name. */
export function placeWords({ role, worker }: FindingPlace): string {
  return worker ? `${roleName(role)} on ${visibleName(worker)}` : roleName(role);
}

/** "4 other tensors after it". */
export function victimsWords(victims: number): string {
  return `${formatCounted(victims, "other tensor")} after it`;
}

/** A piece of a text: prose or code. */
export interface Run {
  code: boolean;
  /** A block of its own, not a word of the sentence. */
  block: boolean;
  text: string;
}

/** A text's code, between backticks or fences, apart from its prose. */
export function segmentsOf(text: string): Run[] {
  const pieces = text.split(/```(?:\w*\n)?([\s\S]*?)```|`([^`\n]+)`/);
  const runs: Run[] = [];
  for (let index = 0; index < pieces.length; index += 3) {
    const [prose, block, inline] = pieces.slice(index, index + 3);
    if (prose) runs.push({ code: false, block: false, text: prose });
    if (block !== undefined) runs.push({ code: true, block: true, text: block.trimEnd() });
    if (inline !== undefined) runs.push({ code: true, block: false, text: inline });
  }
  return runs;
}
