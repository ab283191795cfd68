/** The heatmap's lines from top to bottom: one lane per role, in the order of data flow in a step. */

import { bisectRight } from "d3-array";
import type { Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";
import { ROLES } from "../wire/schema";
import { gridCell } from "./cells";
import { NONFINITE } from "./marks";
import { tensorTitle, visibleName } from "./names";
import { type Group, type Member, mergeReplicas, treeOf } from "./tree";

export interface Lane {
  /** Unique among the lanes: the role, and the replica where each has lanes of its own. */
  key: string;
  label: string;
  description: string;
  tensors: readonly Tensor[];
  members: readonly Member[];
}

/** A line of the heatmap. The line of a closed lane or group shows all its tensors merged. */
export type Line =
  | { kind: "lane"; top: number; height: number; lane: Lane; open: boolean }
  | { kind: "group"; top: number; height: number; group: Group; open: boolean }
  | TensorLine;

export interface TensorLine {
  kind: "tensor";
  top: number;
  height: number;
  tensor: Tensor;
  label: string;
  depth: number;
  /** The line is its whole lane: it has no header, and is labeled as one. */
  isLane?: true;
}

export interface Lines {
  lines: Line[];
  height: number;
  /** Height of one strip of cells. */
  rowHeight: number;
  /** Strips in each line, one below another: more than one where compared runs are together. */
  strips: number;
}

export const LANE_HEIGHT = 24;
const ROOMY = 22;
const DENSE = 16;
/** Between lines of several strips. */
const GAP = 4;

const PINNED = "pinned";

export interface Arrangement {
  /** Grouped by path, or a flat list. */
  tree: boolean;
  /** Ids of the tensors in a lane of their own, above all others. */
  pinned: ReadonlySet<string>;
  /** All of a tensor one after another, each replica in lanes of its own, or merged into one line. */
  replicas?: "all" | "separate" | "merged";
}

export function lanesOf(
  tensors: readonly Tensor[],
  { tree, pinned, replicas }: Arrangement = { tree: false, pinned: new Set() },
): Lane[] {
  const byRole = new Map<string, Tensor[]>();
  for (const tensor of tensors) {
    const own =
      replicas === "separate" && tensor.worker ? `${tensor.role} ${tensor.worker}` : tensor.role;
    const key = pinned.has(tensor.id) ? PINNED : own;
    const lane = byRole.get(key);
    if (lane) lane.push(tensor);
    else byRole.set(key, [tensor]);
  }
  // A role of a newer version comes last, under its own name, rather than not at all.
  const known = [PINNED, ...ROLES.map((role) => role.name as string)];
  const rank = (key: string) => {
    const at = known.indexOf(key.split(" ")[0] as string);
    return at < 0 ? known.length : at;
  };
  // Sorting is stable: replicas stay in the order in which they came.
  return [...byRole.keys()]
    .sort((a, b) => rank(a) - rank(b))
    .flatMap((key) => {
      const members = byRole.get(key);
      if (!members) return [];
      const described =
        key === PINNED ? PINS : ROLES.find((candidate) => candidate.name === key.split(" ")[0]);
      const worker = key.slice(key.indexOf(" ") + 1);
      const label = described?.label ?? visibleName(key);
      const listed =
        tree && key !== PINNED ? treeOf(members, key) : listOf(members, key === PINNED);
      return {
        key,
        label: key.includes(" ") ? `${label} · ${visibleName(worker)}` : label,
        description: described?.description ?? "",
        tensors: members,
        members: replicas === "merged" && key !== PINNED ? mergeReplicas(listed, key) : listed,
      };
    });
}

const PINS = { label: "Pinned", description: "Pinned by you, of any role" };

function listOf(tensors: readonly Tensor[], withRole: boolean): Member[] {
  const cut = withRole ? 0 : sharedPath(tensors);
  return tensors.map((tensor) => ({
    kind: "tensor",
    tensor,
    label: withRole ? tensorTitle(tensor) : tensor.name.slice(cut),
    depth: 0,
  }));
}

/** Length of the path that all names begin with: the model's, which tells nothing apart. */
function sharedPath(tensors: readonly Tensor[]): number {
  const names = new Set(tensors.map(({ name }) => name));
  const [first = ""] = names;
  if (names.size < 2) return 0;
  let length = first.lastIndexOf("/") + 1;
  for (const name of names) {
    while (length > 0 && !name.startsWith(first.slice(0, length))) {
      length = first.lastIndexOf("/", length - 2) + 1;
    }
  }
  return length;
}

/** Lays the lines out; rows are roomy where all of them fit into `available` pixels so. */
export function layLines(
  lanes: readonly Lane[],
  isOpen: (lane: Lane | Group) => boolean,
  available: number,
  strips = 1,
): Lines {
  const lines: Line[] = [];
  const add = (members: readonly Member[]) => {
    for (const member of members) {
      if (member.kind === "tensor") {
        lines.push({ ...member, top: 0, height: ROOMY });
        continue;
      }
      const open = isOpen(member.group);
      lines.push({ kind: "group", top: 0, height: ROOMY, group: member.group, open });
      if (open) add(member.group.members);
    }
  };
  for (const lane of lanes) {
    const alone = onlyTensor(lane);
    if (alone) {
      const label = tensorTitle(alone);
      lines.push({
        kind: "tensor",
        top: 0,
        height: ROOMY,
        tensor: alone,
        label,
        depth: 0,
        isLane: true,
      });
      continue;
    }
    const open = isOpen(lane);
    lines.push({ kind: "lane", top: 0, height: LANE_HEIGHT, lane, open });
    if (open) add(lane.members);
  }
  const rows = lines.filter(({ kind }) => kind !== "lane").length;
  const gap = strips > 1 ? GAP : 0;
  const needed = (lines.length - rows) * LANE_HEIGHT + rows * (strips * ROOMY + gap);
  const rowHeight = needed <= available ? ROOMY : DENSE;
  let top = 0;
  for (const line of lines) {
    line.top = top;
    const hasCells = tensorsOf(line).length > 0;
    if (line.kind !== "lane") line.height = hasCells ? strips * rowHeight + gap : rowHeight;
    top += line.height;
  }
  return { lines, height: top, rowHeight, strips };
}

/** Top and height of one of a line's strips. Rows keep a pixel of ground between them. */
export function stripBox(
  line: Line,
  { strips, rowHeight }: Pick<Lines, "strips" | "rowHeight">,
  strip: number,
): [number, number] {
  if (line.kind !== "lane") return [line.top + strip * rowHeight, rowHeight - 1];
  const height = (line.height - 8) / strips;
  return [line.top + 4 + strip * height, height];
}

/** The strip of a line at a height within it. */
export function stripAt({ strips, rowHeight }: Lines, line: Line, y: number): number {
  const height = line.kind === "lane" ? line.height / strips : rowHeight;
  return Math.min(strips - 1, Math.floor((y - line.top) / height));
}

/** Roles of which most runs have one tensor alone. */
const SINGLE_ROLES = new Set(["input", "target", "prediction", "loss"]);

/** The tensor of a lane that needs no header; undefined for any other lane. */
function onlyTensor({ key, tensors }: Lane): Tensor | undefined {
  const [tensor] = tensors;
  const isAlone = key !== PINNED && tensors.length === 1;
  return isAlone && tensor && SINGLE_ROLES.has(tensor.role) ? tensor : undefined;
}

/** The open lane whose header has been scrolled out of view, and where it stays on top. */
export function stickyLane(
  lines: Lines,
  scrollTop: number,
): { line: Extract<Line, { kind: "lane" }>; top: number } | undefined {
  const begins = ({ kind, ...line }: Line) => kind === "lane" || "isLane" in line;
  const at = indexAt(lines.lines, scrollTop);
  const from = lines.lines.findLastIndex((line, index) => index <= at && begins(line));
  const line = lines.lines[from];
  if (line?.kind !== "lane" || !line.open || line.top >= scrollTop) return undefined;
  // The next lane pushes it out.
  const next = lines.lines.find((other, index) => index > from && begins(other));
  const end = (next?.top ?? lines.height) - scrollTop;
  return { line, top: Math.min(0, end - LANE_HEIGHT) };
}

/** The line at a height; undefined below the last one. */
export function lineAt({ lines, height }: Lines, y: number): Line | undefined {
  if (y < 0 || y >= height) return undefined;
  return lines[indexAt(lines, y)];
}

/** The tensor with the largest value at a step among those of a line; NaN and Inf count as largest. */
export function tensorAt(line: Line, grid: Grid | undefined, step: number): Tensor | undefined {
  if (line.kind === "tensor") return line.tensor;
  const tensors = tensorsOf(line);
  const sizeOf = ({ id }: Tensor) => {
    const cell = grid && gridCell(grid, id, step);
    if (!cell) return Number.NEGATIVE_INFINITY;
    if (cell.flags & NONFINITE) return Number.POSITIVE_INFINITY;
    return Number.isNaN(cell.value) ? Number.NEGATIVE_INFINITY : cell.value;
  };
  let [largest] = tensors;
  for (const tensor of tensors) {
    if (largest && sizeOf(tensor) > sizeOf(largest)) largest = tensor;
  }
  return largest;
}

const NO_TENSORS: readonly Tensor[] = [];

/** The tensors that a line shows: several for a closed lane or group; an open group's own alone. */
export function tensorsOf(line: Line): readonly Tensor[] {
  if (line.kind === "tensor") return [line.tensor];
  if (line.kind === "lane") return line.open ? NO_TENSORS : line.lane.tensors;
  return line.open ? line.group.own : line.group.tensors;
}

/** The lines that a viewport shows, whole or in part. */
export function linesWithin({ lines, height }: Lines, top: number, bottom: number): Line[] {
  if (bottom <= 0 || top >= height) return [];
  return lines.slice(indexAt(lines, Math.max(0, top)), indexAt(lines, bottom - 1e-6) + 1);
}

/** The line of a tensor, or the closed one that it is folded into; undefined where there is none. */
export function lineOf({ lines }: Lines, tensor: string | undefined): Line | undefined {
  return (
    lines.find((line) => line.kind === "tensor" && line.tensor.id === tensor) ??
    lines.find((line) => tensorsOf(line).some(({ id }) => id === tensor))
  );
}

const tops = new WeakMap<readonly Line[], number[]>();

function indexAt(lines: readonly Line[], y: number): number {
  const known = tops.get(lines) ?? lines.map(({ top }) => top);
  tops.set(lines, known);
  return bisectRight(known, y) - 1;
}
