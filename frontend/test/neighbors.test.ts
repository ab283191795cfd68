import { expect, test } from "vitest";
import { neighborsOf } from "../src/model/neighbors";
import { tensor } from "./answers";

const of = (id: string, role: string, layer: string, flow: number, worker = "") =>
  tensor({ id, role, layer, name: `${layer}/kernel`, flow, worker });

const TENSORS = [
  of("w", "weight", "a", 9),
  of("u", "update", "a", 8),
  of("ga", "gradient", "a", 5),
  { ...of("ga2", "gradient", "a", 6), name: "a/bias" },
  of("gb", "gradient", "b", 4),
  of("l", "loss", "", 3),
  of("other", "gradient", "b", 4, "worker-1"),
];

function neighbors(id: string) {
  const chosen = TENSORS.find((one) => one.id === id);
  if (!chosen) throw new Error(id);
  const { before, after, same } = neighborsOf(chosen, TENSORS);
  return [before?.id, after?.id, same.map((one) => one.id)];
}

test("a tensor's neighbors are of another layer or role, and of the same worker", () => {
  expect(neighbors("gb")).toEqual(["l", "ga", []]);
  expect(neighbors("ga2")).toEqual(["gb", undefined, []]);
  expect(neighbors("ga")).toEqual(["gb", undefined, ["u", "w"]]);
  expect(neighbors("other")).toEqual([undefined, undefined, []]);
});

test("what lasts from step to step has the other roles of its variable alone", () => {
  expect(neighbors("w")).toEqual([undefined, undefined, ["ga", "u"]]);
});
