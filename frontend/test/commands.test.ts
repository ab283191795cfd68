import { expect, test } from "vitest";
import { type Command, matchingCommands } from "../src/model/commands";

const NAMES: [Command["kind"], string][] = [
  ["Finding", "NaN at step 31"],
  ["Action", "Color by Headroom"],
  ["Run", "healthy"],
  ["Tensor", "gradient dense/kernel"],
  ["Tensor", "gradient condense/kernel"],
];
const commands = NAMES.map(([kind, text]): Command => ({ kind, text, run: () => undefined }));
const found = (text: string) => matchingCommands(commands, text).map((command) => command.text);

test("all words must occur, in any order and case, of the kind, too", () => {
  expect(found("KERNEL grad")).toEqual(["gradient dense/kernel", "gradient condense/kernel"]);
  expect(found("run hea")).toEqual(["healthy"]);
  expect(found("nothing like it")).toEqual([]);
});

test("a word at the beginning of a part comes before one within", () => {
  expect(matchingCommands([...commands].reverse(), "dense")[0]?.text).toBe("gradient dense/kernel");
  expect(found("hea")).toEqual(["healthy", "Color by Headroom"]);
});

test("no text shows the first ones, and thousands are cut", () => {
  expect(found("  ")).toEqual(NAMES.map(([, text]) => text));
  const many = Array.from({ length: 5000 }, () => commands[3] as Command);
  expect(matchingCommands(many, "kernel").length).toBe(50);
});
