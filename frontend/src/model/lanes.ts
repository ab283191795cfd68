/** The heatmap's lines from top to bottom: one lane a role, in the order of a step's data flow. */

import type { Tensor } from "../wire/answers";
import { ROLES } from "../wire/schema";

export interface Lane {
  role: string;
  label: string;
  description: string;
  tensors: Tensor[];
  /** Tensors that went non-finite at some step. */
  nonfinite: number;
}

/** A line of the heatmap. A lane's own line also stands for all its tensors while it is closed. */
export type Line =
  | { kind: "lane"; top: number; height: number; lane: Lane; open: boolean }
  | { kind: "tensor"; top: number; height: number; tensor: Tensor; lane: Lane };

export interface Lines {
  lines: Line[];
  height: number;
  /** Height of one tensor's line. */
  rowHeight: number;
}

export const LANE_HEIGHT = 26;
const ROOMY = 22;
const DENSE = 16;

export function lanesOf(tensors: readonly Tensor[]): Lane[] {
  const byRole = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const lane = byRole.get(tensor.role);
    if (lane) lane.push(tensor);
    else byRole.set(tensor.role, [tensor]);
  }
  // A role of a newer version comes last, under its own name, rather than vanish.
  const known = ROLES.map((role) => role.name as string);
  const unknown = [...byRole.keys()].filter((role) => !known.includes(role));
  return [...known, ...unknown].flatMap((role) => {
    const members = byRole.get(role);
    if (!members) return [];
    const described = ROLES.find((candidate) => candidate.name === role);
    return {
      role,
      label: described?.label ?? role,
      description: described?.description ?? "",
      tensors: members,
      nonfinite: members.filter((tensor) => tensor.nonfinite_steps > 0).length,
    };
  });
}

/** Lays the lines out; rows are roomy where all of them fit into `available` pixels so. */
export function layLines(
  lanes: readonly Lane[],
  closed: ReadonlySet<string>,
  available: number,
): Lines {
  const rows = lanes.reduce(
    (sum, lane) => sum + (closed.has(lane.role) ? 0 : lane.tensors.length),
    0,
  );
  const rowHeight = lanes.length * LANE_HEIGHT + rows * ROOMY <= available ? ROOMY : DENSE;
  const lines: Line[] = [];
  let top = 0;
  for (const lane of lanes) {
    const open = !closed.has(lane.role);
    lines.push({ kind: "lane", top, height: LANE_HEIGHT, lane, open });
    top += LANE_HEIGHT;
    if (!open) continue;
    for (const tensor of lane.tensors) {
      lines.push({ kind: "tensor", top, height: rowHeight, tensor, lane });
      top += rowHeight;
    }
  }
  return { lines, height: top, rowHeight };
}

/** The line at a height; undefined below the last one. */
export function lineAt({ lines, height }: Lines, y: number): Line | undefined {
  if (y < 0 || y >= height) return undefined;
  return lines.findLast((line) => line.top <= y);
}

/** The lines that a viewport shows, whole or in part. */
export function linesWithin({ lines }: Lines, top: number, bottom: number): Line[] {
  return lines.filter((line) => line.top < bottom && line.top + line.height > top);
}
