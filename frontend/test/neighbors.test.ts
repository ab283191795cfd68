import { expect, test } from "vitest";
import { hasCallGraph, neighborsOf } from "../src/model/neighbors";
import { tensor } from "./answers";

const TENSORS = [
  tensor({ id: "w", role: "weight", name: "a/kernel" }),
  tensor({ id: "g", role: "gradient", name: "a/kernel" }),
  tensor({ id: "u", role: "update", name: "a/kernel" }),
  tensor({ id: "other", role: "update", name: "a/kernel", worker: "worker-1" }),
  tensor({ id: "x", role: "input", name: "x" }),
  tensor({ id: "a", role: "activation", name: "a", inputs: ["x", "gone"] }),
  tensor({ id: "b", role: "activation", name: "b", inputs: ["a"] }),
  tensor({ id: "c", role: "activation", name: "c", inputs: ["a", "b"] }),
];

function neighbors(id: string) {
  const selected = TENSORS.find((one) => one.id === id);
  if (!selected) throw new Error(id);
  const { upstream, downstream, sameVariable } = neighborsOf(selected, TENSORS);
  return [upstream, downstream, sameVariable].map((list) => list.map((one) => one.id));
}

test("upstream are the recorded inputs, downstream the tensors that it is an input of", () => {
  expect(neighbors("x")).toEqual([[], ["a"], []]);
  expect(neighbors("a")).toEqual([["x"], ["b", "c"], []]);
  expect(neighbors("c")).toEqual([["a", "b"], [], []]);
});

test("a variable's other roles are of the same worker, in the order of a step", () => {
  expect(neighbors("w")).toEqual([[], [], ["g", "u"]]);
  expect(neighbors("other")).toEqual([[], [], []]);
});

test("without recorded inputs there is no call graph, and nothing is guessed", () => {
  expect(hasCallGraph(TENSORS)).toBe(true);
  const without = TENSORS.map((one) => ({ ...one, inputs: [] }));
  expect(hasCallGraph(without)).toBe(false);
  expect(hasCallGraph([tensor()])).toBe(false);
});
