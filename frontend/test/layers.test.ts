import { expect, test } from "vitest";
import { concernOf, layersInOrder, layerTexts, nextOrder, sparkline } from "../src/model/layers";
import type { LayerSummary } from "../src/wire/answers";

function layer(change: Partial<LayerSummary> = {}): LayerSummary {
  return {
    path: "dense",
    class_name: "Dense",
    tensors: ["t"],
    parameters: 8256,
    gradient_rms: [0.5, null, 0.00123],
    ratio: 0.0011,
    ratio_role: "update",
    zero_share: 0.47,
    zero_role: "activation",
    headroom: 37.61,
    first_trouble: null,
    ...change,
  };
}

test("a line has its numbers as people read them, and says which are of gradients", () => {
  expect(layerTexts(layer())).toEqual({
    parameters: "8,256",
    gradient: "0.0012",
    ratio: "0.0011",
    zeros: "47%",
    headroom: "37.6",
    trouble: "–",
  });
  const other = layer({
    ...{ parameters: null, gradient_rms: [null], ratio: null, ratio_role: "" },
    ...{ zero_share: 0, zero_role: "gradient", headroom: "Infinity" },
    first_trouble: { step: 1040, cause: "nonfinite" },
  });
  expect(Object.values(layerTexts(other))).toEqual(["–", "–", "–", "0% g", "∞", "1,040"]);
});

test("the first click on a column brings the worst to the top, the second one the other end", () => {
  const layers = [
    layer({ path: "a", headroom: 12, parameters: 5 }),
    layer({ path: "b", headroom: 0.4, parameters: null }),
    layer({ path: "c", headroom: null, parameters: 7 }),
  ];
  const paths = (column: "headroom" | "parameters" | "path", clicks: number) => {
    let order = { column: "trouble", descending: false } as Parameters<typeof nextOrder>[0];
    for (let click = 0; click < clicks; click++) order = nextOrder(order, column);
    return layersInOrder(layers, order)
      .map(({ path }) => path)
      .join("");
  };
  expect([paths("headroom", 1), paths("headroom", 2)]).toEqual(["bac", "abc"]);
  expect([paths("parameters", 1), paths("parameters", 2)]).toEqual(["cab", "acb"]);
  expect(paths("path", 1)).toBe("abc");
});

test("what is near its limit, dead or out of proportion stands out", () => {
  const concerns = (change: Partial<LayerSummary>) =>
    (["ratio", "zeros", "headroom", "trouble"] as const).map((column) =>
      concernOf(layer(change), column),
    );
  expect(concerns({})).toEqual(["", "", "", ""]);
  expect(concerns({ ratio: 0.5, zero_share: 1, headroom: 0.3 })).toEqual([
    ...["doubtful", "severe", "severe", ""],
  ]);
  // Without the learning rate in it, a ratio of gradients says little.
  expect(concerns({ ratio: 0.5, ratio_role: "gradient" })[0]).toBe("");
  expect(concerns({ headroom: 1.5, first_trouble: { step: 3, cause: "dead-layer" } })).toEqual([
    ...["", "", "doubtful", "doubtful"],
  ]);
});

test("a sparkline is logarithmic, has gaps, and draws a calm line as calm", () => {
  expect(sparkline([1, 10, 100], 30, 12)).toBe("M5.0 11.0L15.0 6.0L25.0 1.0");
  expect(sparkline([1, null, 100, 0], 40, 12)).toBe("M5.0 11.0M25.0 1.0");
  expect(sparkline([2, 2], 20, 12)).toBe("M5.0 6.0L15.0 6.0");
  expect(sparkline([null], 20, 12)).toBe("");
});
