import { effect, signal } from "@preact/signals";
import { expect, test } from "vitest";
import { distinct } from "../src/state/distinct";

test("followers hear of a change of the key alone, and the value stays the same object", () => {
  const source = signal({ from: 0, to: 8 });
  const copy = distinct(
    () => ({ ...source.value }),
    ({ from, to }) => `${from} ${to}`,
  );
  const seen: unknown[] = [];
  const end = effect(() => {
    seen.push(copy.value);
  });
  source.value = { from: 0, to: 8 };
  expect(seen).toHaveLength(1);
  source.value = { from: 0, to: 9 };
  expect(seen).toEqual([
    { from: 0, to: 8 },
    { from: 0, to: 9 },
  ]);
  end();
});
