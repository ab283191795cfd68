/** A lane's tensors by their paths: groups that open and close. */

import type { Tensor } from "../wire/answers";

export interface Group {
  /** Unique among all groups of the run. */
  key: string;
  /** Its part of the path; several parts where a group has only one subgroup. */
  label: string;
  /** The number of groups around it. */
  depth: number;
  members: Member[];
  /** Its tensors and those of its groups, in order. */
  tensors: Tensor[];
  /** The same tensor on several replicas: closed until it is opened. */
  merged?: true;
}

export type Member =
  | { kind: "group"; group: Group }
  | { kind: "tensor"; tensor: Tensor; label: string; depth: number };

interface Node {
  nodes: Map<string, Node>;
  /** Tensors that end here, and groups, in the order in which they first came. */
  order: (Node | Tensor)[];
  part: string;
}

/** The members of a lane. A group is where its first tensor is; one tensor is no group. */
export function treeOf(tensors: readonly Tensor[], lane: string): Member[] {
  const root: Node = { nodes: new Map(), order: [], part: "" };
  for (const tensor of tensors) {
    let node = root;
    for (const part of pathOf(tensor).slice(0, -1)) {
      let next = node.nodes.get(part);
      if (!next) {
        next = { nodes: new Map(), order: [], part };
        node.nodes.set(part, next);
        node.order.push(next);
      }
      node = next;
    }
    node.order.push(tensor);
  }
  return membersOf(root, lane, "", 0);
}

function pathOf({ name }: Tensor): string[] {
  return name.split("/");
}

function membersOf(node: Node, lane: string, path: string, depth: number): Member[] {
  return node.order.map((entry): Member => {
    if (!("nodes" in entry)) {
      return { kind: "tensor", tensor: entry, label: pathOf(entry).at(-1) ?? "", depth };
    }
    const parts = [entry.part];
    let inner = entry;
    // A group with nothing but one group in it is one group.
    for (let only = inner.order[0]; inner.order.length === 1 && only; only = inner.order[0]) {
      if (!("nodes" in only)) {
        const label = [...parts, pathOf(only).at(-1) ?? ""].join("/");
        return { kind: "tensor", tensor: only, label, depth };
      }
      inner = only;
      parts.push(inner.part);
    }
    const label = parts.join("/");
    const whole = path ? `${path}/${label}` : label;
    const members = membersOf(inner, lane, whole, depth + 1);
    const tensors = members.flatMap((member) =>
      member.kind === "tensor" ? [member.tensor] : member.group.tensors,
    );
    return { kind: "group", group: { key: `${lane}:${whole}`, label, depth, members, tensors } };
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
      const group: Group = { key, label, depth, members: [inner], tensors: [tensor], merged: true };
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
    const inner = groupsAround(member.group.members, tensor);
    if (inner) return [member.group, ...inner];
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
