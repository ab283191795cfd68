/** A lane's tensors by their paths and the blocks within: groups that open and close. */

import type { Tensor } from "../wire/answers";
import { firstWord, isWithinName, partsOf, sharedWords } from "./blocks";

export interface Group {
  /** Unique among all groups of the run. */
  key: string;
  /** Its part of the name; several parts where a group has only one subgroup. */
  label: string;
  /** The number of groups around it. */
  depth: number;
  /** The tensor of the group's own name, the output of a block: one or none. Its row is the group's. */
  own: readonly Tensor[];
  members: Member[];
  /** Its own tensor, its members, and those of its groups, in order. */
  tensors: Tensor[];
  /** The same tensor on several replicas: closed until it is opened. */
  merged?: true;
}

export type Member =
  | { kind: "group"; group: Group }
  | { kind: "tensor"; tensor: Tensor; label: string; depth: number };

interface Node {
  part: string;
  /** It is in no block of its own level. */
  whole: boolean;
  /** The tensors of this very name: several where replicas have it. */
  own: Tensor[];
  /** In the order in which they first came. */
  nodes: Map<string, Node>;
}

/** The members of a lane. A group is where its first tensor is; one tensor is no group. */
export function treeOf(tensors: readonly Tensor[], lane: string): Member[] {
  const root = nodeOf("");
  for (const tensor of tensors) {
    let node = root;
    for (const { text, whole } of partsOf(tensor)) {
      const next = node.nodes.get(text) ?? nodeOf(text, whole);
      node.nodes.set(text, next);
      node = next;
    }
    node.own.push(tensor);
  }
  return membersOf(root, lane, "", 0);
}

function nodeOf(part: string, whole = false): Node {
  return { part, whole, own: [], nodes: new Map() };
}

function membersOf(node: Node, lane: string, path: string, depth: number): Member[] {
  return inBlocks([...node.nodes.values()]).flatMap((child): Member[] => {
    let inner = child;
    let part = child.part;
    // A group with nothing but one group in it is one group.
    while (inner.own.length === 0 && inner.nodes.size === 1) {
      inner = inner.nodes.values().next().value as Node;
      part += inner.part;
    }
    const label = path ? part.replace(/^[/_.-]/, "") : part;
    const isGroup = inner.nodes.size > 0;
    const own = isGroup && inner.own.length === 1 ? inner.own : [];
    const listed = own.length > 0 ? [] : inner.own;
    const rows = listed.map(
      (tensor): Member => ({ kind: "tensor", tensor, label, depth: isGroup ? depth + 1 : depth }),
    );
    if (!isGroup) return rows;
    const members = [...rows, ...membersOf(inner, lane, path + part, depth + 1)];
    const tensors = members.flatMap((member) =>
      member.kind === "tensor" ? [member.tensor] : member.group.tensors,
    );
    const group: Group = {
      ...{ key: `${lane}:${path}${part}`, label, depth, own, members },
      tensors: [...own, ...tensors],
    };
    return [{ kind: "group", group }];
  });
}

/**
 * The nodes of one level; those one after another whose names begin with the same words as one. A
 * numbered block has no blocks of words: it is short.
 */
function inBlocks(nodes: readonly Node[]): Node[] {
  const runs: Node[][] = [];
  for (const node of nodes) {
    const before = runs.at(-1)?.[0];
    const word = firstWord(node.part);
    const isAlike = before && !before.whole && !node.whole && firstWord(before.part) === word;
    if (isAlike && !isWithinName(word)) runs.at(-1)?.push(node);
    else runs.push([node]);
  }
  const taken = new Set<string>();
  return runs.flatMap((run) => {
    const shared = sharedWords(run.map(({ part }) => part));
    const isTaken =
      taken.has(shared) || nodes.some((node) => node.part === shared && !run.includes(node));
    // Names that begin alike elsewhere would be the same group.
    if (!shared || isTaken) return run;
    taken.add(shared);
    const block = nodeOf(shared);
    for (const node of run) {
      const rest = node.part.slice(shared.length);
      if (rest) block.nodes.set(rest, { ...node, part: rest });
      else {
        block.own.push(...node.own);
        for (const [part, inner] of node.nodes) block.nodes.set(part, inner);
      }
    }
    return [block];
  });
}

/** The members, with one group for each tensor that several replicas have. */
export function mergeReplicas(members: readonly Member[], lane: string): Member[] {
  const groups = new Map<string, Group>();
  return members
    .flatMap((member): Member[] => {
      if (member.kind === "group") {
        const { group } = member;
        return [
          { kind: "group", group: { ...group, members: mergeReplicas(group.members, lane) } },
        ];
      }
      const { tensor, label, depth } = member;
      const inner = { kind: "tensor" as const, tensor, label, depth: depth + 1 };
      const known = groups.get(tensor.name);
      if (known) {
        known.members.push(inner);
        known.tensors.push(tensor);
        return [];
      }
      const key = `${lane}:${tensor.name}:replicas`;
      const group: Group = {
        ...{ key, label, depth, own: [], members: [inner], tensors: [tensor] },
        merged: true,
      };
      groups.set(tensor.name, group);
      return [{ kind: "group", group }];
    })
    .map((member) => {
      // A tensor of a single replica needs no group.
      if (member.kind === "tensor" || !member.group.merged || member.group.members.length > 1)
        return member;
      const [only] = member.group.members;
      return only?.kind === "tensor" ? { ...only, depth: member.group.depth } : member;
    });
}

/** The groups around a tensor, the outermost first; undefined where it is not among the members. */
export function groupsAround(members: readonly Member[], tensor: string): Group[] | undefined {
  for (const member of members) {
    if (member.kind === "tensor") {
      if (member.tensor.id === tensor) return [];
      continue;
    }
    if (!member.group.tensors.some(({ id }) => id === tensor)) continue;
    return [member.group, ...(groupsAround(member.group.members, tensor) ?? [])];
  }
  return undefined;
}

/** How deep groups are open at first: as deep as shows at most `most` lines. */
export function openDepth(lanes: readonly (readonly Member[])[], most: number): number {
  const atDepth: number[] = [];
  const visit = (members: readonly Member[]) => {
    for (const member of members) {
      const depth = member.kind === "tensor" ? member.depth : member.group.depth;
      atDepth[depth] = (atDepth[depth] ?? 0) + 1;
      if (member.kind === "group") visit(member.group.members);
    }
  };
  for (const members of lanes) visit(members);
  let lines = 0;
  const tooDeep = atDepth.findIndex((count) => {
    lines += count;
    return lines > most;
  });
  return tooDeep < 0 ? atDepth.length : Math.max(0, tooDeep - 1);
}

/** The tensor that was bad first: at the earliest step, and in it the first to be executed. */
export function firstBad(tensors: readonly Tensor[]): Tensor | undefined {
  let first: Tensor | undefined;
  const step = ({ first_nonfinite_step }: Tensor) => first_nonfinite_step ?? Infinity;
  const rank = ({ flow }: Tensor) => flow ?? Infinity;
  for (const tensor of tensors) {
    if (step(tensor) === Infinity) continue;
    const isEarlier =
      !first ||
      step(tensor) < step(first) ||
      (step(tensor) === step(first) && rank(tensor) < rank(first));
    if (isEarlier) first = tensor;
  }
  return first;
}

/** A group's key is its lane and its part of the name. */
export function pathOf({ key }: Group): string {
  return key.slice(key.indexOf(":") + 1);
}

/** The rest of a tensor's name within a group; the worker where that is all that differs. */
export function nameWithin(path: string, { name, worker }: Tensor): string {
  return (name.startsWith(path) ? name.slice(path.length).replace(/^[/_.-]/, "") : "") || worker;
}
