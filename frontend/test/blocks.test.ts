import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { partsOf, sharedWords } from "../src/model/blocks";
import { type Member, treeOf } from "../src/model/tree";
import type { Tensor } from "../src/wire/answers";
import { tensor } from "./answers";

/** The trainable variables of networks, by the paths that Keras 3 gives them. */
const NETWORKS: Record<string, string> = JSON.parse(
  readFileSync(new URL("networks.json", import.meta.url), "utf8"),
);

function variables(network: string): Tensor[] {
  return (NETWORKS[network] as string)
    .split(" ")
    .map((name) => tensor({ id: name, name, layer: name.slice(0, name.lastIndexOf("/")) }));
}

function groups(members: readonly Member[]): string[] {
  return members.flatMap((member) => (member.kind === "group" ? [member.group.label] : []));
}

function within(members: readonly Member[], ...labels: string[]): readonly Member[] {
  return labels.reduce((inner, label) => {
    const found = inner.find((each) => each.kind === "group" && each.group.label === label);
    if (found?.kind !== "group") throw new Error(`No group ${label} in ${groups(inner)}.`);
    return found.group.members;
  }, members);
}

const outline = (members: readonly Member[]): unknown[] =>
  members.map((member) =>
    member.kind === "tensor" ? member.label : [member.group.label, outline(member.group.members)],
  );

const numbered = (prefix: string, first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => `${prefix}${first + index}`);

describe("the groups of", () => {
  test("MobileNetV2 are its blocks", () => {
    const members = treeOf(variables("mobilenet_v2"), "gradient");
    const blocks = numbered("block_", 1, 16);
    expect(groups(members)).toEqual([
      ...["bn_Conv1", "expanded_conv", ...blocks, "Conv_1", "predictions"],
    ]);
    expect(outline(within(members, "block_10"))).toEqual([
      "expand/kernel",
      ["expand_BN", ["gamma", "beta"]],
      "depthwise/kernel",
      ["depthwise_BN", ["gamma", "beta"]],
      "project/kernel",
      ["project_BN", ["gamma", "beta"]],
    ]);
    expect(outline(within(members, "Conv_1"))).toEqual(["kernel", ["bn", ["gamma", "beta"]]]);
  });

  test("ResNet50 are its stages, and their blocks", () => {
    const members = treeOf(variables("resnet50"), "gradient");
    expect(groups(members)).toEqual([...numbered("conv", 1, 5), "predictions"]);
    expect(groups(within(members, "conv4"))).toEqual(numbered("block", 1, 6));
    expect(groups(within(members, "conv4", "block2"))).toEqual(
      [..."123"].flatMap((number) => [`${number}_conv`, `${number}_bn`]),
    );
  });

  test("InceptionV3 are its layers, as nothing in their names is a block", () => {
    const members = treeOf(variables("inception_v3"), "gradient");
    expect(groups(members)).toEqual(["predictions"]);
    expect(members.length).toBe(189);
  });

  test("EfficientNetB0 are its blocks", () => {
    const blocks = ["1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b"];
    expect(groups(treeOf(variables("efficientnet_b0"), "gradient"))).toEqual([
      "stem",
      ...[...blocks, "6c", "6d", "7a"].map((name) => `block${name}`),
      ...["top", "predictions"],
    ]);
  });

  test("a transformer are its blocks or its layers", () => {
    const members = treeOf(variables("transformer"), "gradient");
    expect(groups(members)).toEqual([...numbered("block_", 0, 11), "head"]);
    expect(groups(within(members, "block_11"))).toEqual([
      ...["attention", "norm_1", "norm_2", "up", "down"],
    ]);
    expect(groups(treeOf(variables("flat_transformer"), "gradient")).slice(0, 6)).toEqual([
      ...["multi_head_attention", "layer_normalization", "dense_1", "dense"],
      ...["layer_normalization_1", "multi_head_attention_1"],
    ]);
  });

  test("a GAN are its two networks", () => {
    const members = treeOf(variables("gan"), "gradient");
    expect(groups(members)).toEqual(["generator", "discriminator"]);
  });

  test("every network have at least two tensors, and all of theirs", () => {
    for (const network of Object.keys(NETWORKS)) {
      const tensors = variables(network);
      const visit = (members: readonly Member[]): string[] =>
        members.flatMap((member) => {
          if (member.kind === "tensor") return member.tensor.id;
          const { own, members, tensors } = member.group;
          expect(tensors.length).toBeGreaterThan(1);
          return [...own.map(({ id }) => id), ...visit(members)];
        });
      expect(visit(treeOf(tensors, "gradient")).sort()).toEqual(tensors.map(({ id }) => id).sort());
    }
  });
});

test("the output of a block is its group's own row", () => {
  const outputs = ["block_1_expand", "block_1_expand_BN", "block_1", "block_10"].map((name) =>
    tensor({ id: name, name, layer: name }),
  );
  const [block] = treeOf(outputs, "activation");
  if (block?.kind !== "group") throw new Error("No group.");
  expect(block.group.own.map(({ id }) => id)).toEqual(["block_1"]);
  expect(outline([block])).toEqual([["block_1", ["expand", "expand_BN"]]]);
});

test("names that begin like a block elsewhere are no second one of its name", () => {
  const members = treeOf(
    ["stem_conv", "stem_bn", "dense", "stem_x", "stem_y"].map((name) =>
      tensor({ id: name, name, layer: name }),
    ),
    "activation",
  );
  expect(outline(members)).toEqual([["stem", ["conv", "bn"]], "dense", "stem_x", "stem_y"]);
});

test.each([
  ["conv2_block1_1_conv", ["conv2", "_block1", "_1_conv"]],
  ["encoder_layer_3_dense_2", ["encoder_layer_3", "_dense_2"]],
  ["multi_head_attention_1", ["multi_head_attention_1"]],
  ["conv2d_transpose_3", ["conv2d_transpose_3"]],
  ["gan/block_1_expand", ["gan", "/block_1", "_expand"]],
  ["layer.1.conv", ["layer.1", ".conv"]],
])("the parts of %s", (name, parts) => {
  expect(partsOf({ name, layer: name }).map(({ text }) => text)).toEqual(parts);
});

test("the name of a variable is one part", () => {
  const parts = (name: string, layer: string) =>
    partsOf({ name, layer }).map(({ text, whole }) => (whole ? `${text}!` : text));
  expect(parts("bn_1_a/moving_2_mean", "bn_1_a")).toEqual(["bn_1", "_a", "/moving_2_mean!"]);
  expect(parts("bn/moving_mean", "")).toEqual(["bn", "/moving_mean!"]);
  expect(parts("block_1_expand", "")).toEqual(["block_1", "_expand"]);
});

test.each([
  [["stem_conv", "stem_bn"], "stem"],
  [["expanded_conv_depthwise", "expanded_conv_project"], "expanded_conv"],
  [["dense", "dense_1", "dense_2"], ""],
  [["dense", "dense_1", "dense_out_1"], ""],
  [["dense#2", "dense"], ""],
  [["layer_normalization_1", "layer_normalization_2"], ""],
  [["conv2d", "conv2d_transpose"], ""],
  [["encoder", "decoder"], ""],
])("the words that %s share", (names, shared) => {
  expect(sharedWords(names)).toBe(shared);
});
