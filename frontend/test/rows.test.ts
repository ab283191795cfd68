import { signal } from "@preact/signals";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gridRow, mergedRow } from "../src/model/cells";
import {
  LANE_HEIGHT,
  type Line,
  lanesOf,
  layLines,
  lineAt,
  lineOf,
  linesWithin,
  stickyLane,
  stripAt,
  stripBox,
  tensorAt,
  tensorsOf,
} from "../src/model/lanes";
import { affectedTensors, filterOf, inOrder } from "../src/model/rows";
import {
  firstBad,
  groupsAround,
  type Member,
  mergeReplicas,
  nameWithin,
  openDepth,
  treeOf,
} from "../src/model/tree";
import { Rows } from "../src/state/rows";
import type { Finding, Tensor } from "../src/wire/answers";
import { decodeGrid } from "../src/wire/grid";
import { tensor } from "./answers";
import { encodeGrid } from "./encode_grid";

function named(...names: string[]): Tensor[] {
  return names.map((name, index) => tensor({ id: `t${index}`, name }));
}

function outline(members: readonly Member[]): unknown[] {
  return members.map((member) =>
    member.kind === "tensor" ? member.label : [member.group.label, outline(member.group.members)],
  );
}

describe("the tree", () => {
  test("groups by path, joins what has no choice, and makes no group of one", () => {
    const members = treeOf(
      named(
        "net/enc/a/kernel",
        "net/enc/a/bias",
        "net/enc/b/kernel",
        "net/enc/b/bias",
        "head/out/bias",
      ),
      "gradient",
    );
    expect(outline(members)).toEqual([
      [
        "net/enc",
        [
          ["a", ["kernel", "bias"]],
          ["b", ["kernel", "bias"]],
        ],
      ],
      "head/out/bias",
    ]);
    const [group] = members;
    expect(group?.kind === "group" && group.group.key).toBe("gradient:net/enc");
  });

  test("gives a group's own row to the tensor of its name", () => {
    const [member] = treeOf(named("enc/a", "enc", "enc/b"), "activation");
    if (member?.kind !== "group") throw new Error("No group.");
    expect(outline([member])).toEqual([["enc", ["a", "b"]]]);
    expect(member.group.own.map(({ id }) => id)).toEqual(["t1"]);
    expect(member.group.tensors.map(({ id }) => id).sort()).toEqual(["t0", "t1", "t2"]);
    const line = { kind: "group", top: 0, height: 1, group: member.group } as const;
    expect(tensorsOf({ ...line, open: true }).map(({ id }) => id)).toEqual(["t1"]);
    expect(tensorsOf({ ...line, open: false }).length).toBe(3);
    expect(tensorAt({ ...line, open: true }, undefined, 0)?.id).toBe("t1");
  });

  test("tells which tensor of a group was bad first: the first to run in the earliest step", () => {
    const bad = (name: string, first_nonfinite_step: number | null, flow: number) =>
      tensor({ id: name, name, first_nonfinite_step, flow });
    const tensors = [bad("b/x", 7, 1), bad("b_y", 5, 9), bad("b/z", 5, 3), bad("b/ok", null, 0)];
    const first = firstBad(tensors) as Tensor;
    expect([nameWithin("b", first), firstBad(tensors.slice(3))]).toEqual(["z", undefined]);
    expect(nameWithin("b", tensors[1] as Tensor)).toBe("y");
    expect(nameWithin("b/x", tensor({ name: "b/x", worker: "w1" }))).toBe("w1");
  });

  test("lists the replicas of a block's output within the block", () => {
    expect(outline(treeOf(named("enc", "enc", "enc/a"), "activation"))).toEqual([
      ["enc", ["enc", "enc", "a"]],
    ]);
  });

  test("loses no tensor, and finds the groups around each", () => {
    const part = fc.constantFrom("a", "b", "/", "", "a_b", "a_b_1", "a_1", "a_1_b", "_", "1");
    const path = fc.array(part, { maxLength: 6 });
    fc.assert(
      fc.property(fc.array(path, { maxLength: 30 }), (paths) => {
        const tensors = named(...paths.map((parts) => parts.join("/")));
        const members = treeOf(tensors, "weight");
        const found = members.flatMap((member) =>
          member.kind === "tensor" ? [member.tensor] : member.group.tensors,
        );
        expect(found.map(({ id }) => id).sort()).toEqual(tensors.map(({ id }) => id).sort());
        for (const { id } of tensors) {
          const around = groupsAround(members, id);
          expect(around).toBeDefined();
          for (const { tensors: within } of around ?? []) {
            expect(within.some((one) => one.id === id)).toBe(true);
            expect(within.length).toBeGreaterThan(1);
          }
        }
        expect(groupsAround(members, "none")).toBeUndefined();
        const keys = (inner: readonly Member[]): string[] =>
          inner.flatMap((member) =>
            member.kind === "group" ? [member.group.key, ...keys(member.group.members)] : [],
          );
        expect(new Set(keys(members)).size).toBe(keys(members).length);
      }),
    );
  });

  test("is open at first as deep as there is room", () => {
    const lane = treeOf(named("a/x/1", "a/x/2", "a/y/1", "a/y/2", "b"), "weight");
    expect([2, 3, 4, 7, 8, 99].map((most) => openDepth([lane], most))).toEqual([0, 0, 1, 1, 3, 3]);
  });
});

describe("lines", () => {
  const tensors = named("n/a/kernel", "n/a/bias", "n/b/kernel", "n/b/bias");
  const tree = { tree: true, pinned: new Set<string>() };
  const words = (line: Line) =>
    line.kind === "lane" ? line.lane.label : line.kind === "group" ? line.group.label : line.label;

  test("of a closed group hide its tensors", () => {
    const { lines } = layLines(lanesOf(tensors, tree), ({ key }) => key !== "gradient:n/b", 999);
    expect(lines.map(words)).toEqual(["Gradients", "n", "a", "kernel", "bias", "b"]);
  });

  test("have a strip for each run where runs are together, and no more where they have no cells", () => {
    const lanes = lanesOf(tensors, tree);
    const all = layLines(lanes, () => true, 10, 3);
    const [lane, group, , row] = all.lines as [Line, Line, Line, Line];
    expect([lane.height, group.height, row.height, all.rowHeight]).toEqual([
      ...[LANE_HEIGHT, 16, 3 * 16 + 4, 16],
    ]);
    expect(all.height).toBe(LANE_HEIGHT + 3 * 16 + 4 * 52);
    for (const line of [lane, row]) {
      const boxes = [0, 1, 2].map((strip) => stripBox(line, all, strip));
      boxes.forEach(([top, height], strip) => {
        expect(stripAt(all, line, top + height / 2)).toBe(strip);
        expect(top).toBeGreaterThanOrEqual(line.top);
        expect(top + height).toBeLessThanOrEqual(line.top + line.height);
      });
      expect(stripAt(all, line, line.top + line.height - 0.1)).toBe(2);
    }
    const alone = layLines(lanes, () => true, 10);
    expect(stripBox(alone.lines[3] as Line, alone, 0)).toEqual([LANE_HEIGHT + 32, 15]);
  });

  test("of one input, target, prediction or loss take one row, without a header", () => {
    const loss = tensor({ id: "l", role: "loss", name: "loss" });
    const input = tensor({ id: "i", role: "input", name: "pixels" });
    const bias = tensor({ id: "b", role: "weight", name: "n/bias" });
    const outline = (...shown: Tensor[]) =>
      layLines(lanesOf(shown), () => true, 999).lines.map((line) => [line.kind, words(line)]);
    expect(outline(input, loss, bias)).toEqual([
      ["tensor", "input pixels"],
      ["tensor", "loss"],
      ["lane", "Weights"],
      ["tensor", "n/bias"],
    ]);
    expect(outline(loss, tensor({ id: "m", role: "loss", name: "aux" }))[0]).toEqual([
      "lane",
      "Loss",
    ]);
    const pinned = lanesOf([loss], { tree: false, pinned: new Set(["l"]) });
    expect(layLines(pinned, () => true, 999).lines.map(words)).toEqual(["Pinned", "loss"]);
  });

  test("do not repeat the path that all names of a lane begin with", () => {
    const labels = (...names: string[]) =>
      layLines(lanesOf(named(...names)), () => true, 999)
        .lines.slice(1)
        .map(words);
    expect(labels("net/a/kernel", "net/ab/kernel")).toEqual(["a/kernel", "ab/kernel"]);
    expect(labels("net/a/kernel", "other")).toEqual(["net/a/kernel", "other"]);
    expect(labels("net/a/kernel")).toEqual(["net/a/kernel"]);
  });

  test("keep the header of their lane on top until the next lane pushes it out", () => {
    const weights = tensor({ id: "w", role: "weight", name: "w" });
    const all = layLines(lanesOf([...tensors, weights]), () => true, 10);
    const at = (scrollTop: number) => {
      const sticky = stickyLane(all, scrollTop);
      return sticky && [sticky.line.lane.label, sticky.top];
    };
    const end = all.lines[5]?.top ?? 0;
    expect(all.lines[5]?.kind).toBe("lane");
    expect(at(0)).toBeUndefined();
    expect(at(1)).toEqual(["Gradients", 0]);
    expect(at(end - LANE_HEIGHT)).toEqual(["Gradients", 0]);
    expect(at(end - 10)).toEqual(["Gradients", 10 - LANE_HEIGHT]);
    expect(at(end)).toBeUndefined();
    expect(at(end + 5)).toEqual(["Weights", Math.min(0, all.height - end - 5 - LANE_HEIGHT)]);
  });

  test("pinned are above, with their role", () => {
    const lanes = lanesOf(tensors, { tree: true, pinned: new Set(["t3"]) });
    expect(lanes.map(({ key, tensors }) => [key, tensors.length])).toEqual([
      ["pinned", 1],
      ["gradient", 3],
    ]);
    const { lines } = layLines(lanes, () => true, 999);
    expect(lines.slice(0, 2).map(words)).toEqual(["Pinned", "gradient n/b/bias"]);
  });

  test("in view are those that a look at every line gives, among thousands", () => {
    const many = named(...Array.from({ length: 5000 }, (_, index) => `l${index >> 3}/${index}`));
    const all = layLines(lanesOf(many, tree), () => true, 700);
    expect(all.lines.length).toBe(1 + 625 + 5000);
    fc.assert(
      fc.property(fc.nat(all.height + 50), fc.integer({ min: 1, max: 900 }), (top, height) => {
        const seen = all.lines.filter(
          (line) => line.top < top + height && line.top + line.height > top,
        );
        expect(linesWithin(all, top, top + height)).toEqual(seen);
        expect(lineAt(all, top)).toBe(seen[0]);
      }),
      { numRuns: 30 },
    );
    expect(lineOf(all, "t4999")).toBe(all.lines.at(-1));
  });
});

describe("a filter", () => {
  const tensors = [
    tensor({ id: "k", name: "net/dense/kernel" }),
    tensor({ id: "b", name: "net/dense_1/bias", role: "weight" }),
  ];
  const left = (text: string) => {
    const filter = filterOf(text);
    if (filter.kind !== "matches") return filter.kind;
    return tensors.filter(filter.test).map(({ id }) => id);
  };

  test("takes words in any order, of role and name, whatever their case", () => {
    expect(left("  ")).toBe("all");
    expect(left("DENSE grad")).toEqual(["k"]);
    expect(left("bias weight")).toEqual(["b"]);
    expect(left("nothing")).toEqual([]);
    expect(left("dense.*kernel")).toEqual([]);
  });

  test("takes a regular expression between slashes, and reports an invalid one", () => {
    expect(left("/dense_\\d/")).toEqual(["b"]);
    expect(left("/kernel$")).toEqual([]);
    expect(left("/net\\/dense\\//")).toEqual(["k"]);
    expect(left("/(/")).toBe("wrong");
  });
});

describe("the order", () => {
  const grid = decodeGrid(
    encodeGrid({
      ...{ run: "r", statistic: "norm", scale: "log10", edges: [0, 1, 2] },
      rows: ["a", "b", "c"],
      value: [1, Number.NaN, 5, 2, 0, 0],
      flags: [8, 0, 8, 8, 8, 9],
    }),
  );
  const tensors = [
    tensor({ id: "a" }),
    tensor({ id: "b", first_nonfinite_step: 9 }),
    tensor({ id: "c", first_nonfinite_step: 1 }),
    tensor({ id: "d" }),
  ];

  test("is that of the model, of the first NaN or Inf, or of the largest value", () => {
    const ids = (order: "model" | "first" | "largest") =>
      inOrder(tensors, order, grid)
        .map(({ id }) => id)
        .join("");
    expect(ids("model")).toBe("abcd");
    expect(ids("first")).toBe("cbad");
    expect(ids("largest")).toBe("cbad");
  });

  test("merged rows show the largest of theirs, and are computed once", () => {
    const [a, , c] = tensors as [Tensor, Tensor, Tensor];
    const merged = mergedRow(grid, [a, c, tensor({ id: "unknown" })]);
    expect([...merged.value]).toEqual([1, 0]);
    expect([...merged.flags]).toEqual([8, 9]);
    expect(mergedRow(grid, tensors)).toBe(mergedRow(grid, tensors));
    expect(gridRow(grid, "unknown")).toBeUndefined();
  });

  test("affected is what had a NaN or Inf, and what an error or a warning names", () => {
    const place = { role: "gradient", layer: "dense", tensor: "other" };
    const finding = { severity: "warning", origin: place, affected: [] } as unknown as Finding;
    const all = [...tensors, tensor({ id: "e", name: "other" })];
    expect([...affectedTensors(all, [finding])].sort().join("")).toBe("bce");
    expect([...affectedTensors(all, [{ ...finding, severity: "info" }])].sort().join("")).toBe(
      "bc",
    );
  });
});

describe("the rows", () => {
  const many = named(...Array.from({ length: 200 }, (_, index) => `n/${index >> 2}/${index}`));

  test("are a tree where they are many, and reveal what is folded or filtered away", () => {
    const rows = new Rows(signal(many), signal([]), signal(undefined));
    expect(rows.layout.value).toBe("tree");
    const visible = () =>
      layLines(rows.lanes.value, (item) => rows.isOpen(item), 700).lines.filter(
        ({ kind }) => kind === "tensor",
      ).length;
    expect(visible()).toBe(0);
    rows.filter.value = "n/7/29";
    expect(visible()).toBe(1);
    rows.reveal("t100");
    expect(rows.filter.value).toBe("");
    expect(visible()).toBe(4);
  });

  test("that are pinned stay, whatever is filtered", () => {
    const rows = new Rows(signal(many), signal([]), signal(undefined));
    rows.togglePin("t5");
    rows.filter.value = "nothing";
    expect(rows.shown.value.map(({ id }) => id)).toEqual(["t5"]);
    rows.togglePin("t5");
    expect(rows.shown.value).toEqual([]);
  });
});

test("a layer is filtered by its path alone, and by that of its variables without an owner", () => {
  const shown = [
    tensor({ id: "a", layer: "dense", name: "net/dense/kernel" }),
    tensor({ id: "b", layer: "dense_1", name: "net/dense_1/kernel" }),
    tensor({ id: "c", layer: "", name: "dense/kernel" }),
  ];
  const rows = new Rows(signal(shown), signal([]), signal(undefined));
  rows.layer.value = "dense";
  expect(rows.shown.value.map(({ id }) => id)).toEqual(["a", "c"]);
  rows.reveal("b");
  expect(rows.layer.value).toBeNull();
});

describe("replicas", () => {
  const tensors = ["r0", "r1"].flatMap((worker) =>
    ["net/a/kernel", "net/a/bias"].map((name) => tensor({ id: `${worker} ${name}`, name, worker })),
  );

  test("are lanes of their own", () => {
    const lanes = lanesOf(tensors, { tree: false, pinned: new Set(), replicas: "separate" });
    expect(lanes.map(({ label }) => label)).toEqual(["Gradients · r0", "Gradients · r1"]);
    expect(lanes.map(({ tensors }) => tensors.length)).toEqual([2, 2]);
  });

  test("are one line a tensor, which opens to them", () => {
    const alone = tensor({ id: "w", name: "net/b", worker: "" });
    const members = mergeReplicas(treeOf([...tensors, alone], "gradient"), "gradient");
    expect(outline(members)).toEqual([
      [
        "net",
        [
          [
            "a",
            [
              ["kernel", ["kernel", "kernel"]],
              ["bias", ["bias", "bias"]],
            ],
          ],
          "b",
        ],
      ],
    ]);
    expect(groupsAround(members, "r1 net/a/bias")?.map(({ label }) => label)).toEqual([
      "net",
      "a",
      "bias",
    ]);
    const rows = new Rows(signal(tensors), signal([]), signal(undefined));
    rows.replicas.value = "merged";
    const words = () =>
      layLines(rows.lanes.value, (item) => rows.isOpen(item), 900).lines.map(({ kind }) => kind);
    expect(words()).toEqual(["lane", "group", "group"]);
    rows.reveal("r1 net/a/bias");
    expect(words()).toEqual(["lane", "group", "group", "tensor", "tensor"]);
  });

  test("can be filtered to one, with the tensors that all share", () => {
    const shared = tensor({ id: "w", worker: "", role: "weight" });
    const rows = new Rows(signal([...tensors, shared]), signal([]), signal(undefined));
    rows.replicas.value = "only r1";
    expect(rows.shown.value.map(({ id }) => id)).toEqual(["r1 net/a/kernel", "r1 net/a/bias", "w"]);
    rows.reveal("r0 net/a/bias");
    expect(rows.shown.value.length).toBe(5);
  });
});
