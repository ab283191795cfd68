import { signal } from "@preact/signals";
import { expect, test, vi } from "vitest";
import { Growth } from "../src/state/growth";
import type { RunList } from "../src/state/run_list";
import type { RunSummary } from "../src/wire/answers";

function summary(last_written: number, last_step: number | null = 0): RunSummary {
  return { run: "a", last_written, last_step, records: { written: 1, read: 1 } } as RunSummary;
}

/** A page that shows run `a`, and what it tells of news. */
function page(first: RunSummary[] = [summary(5)]) {
  const listed = signal(first);
  const error = signal<string | undefined>(undefined);
  const find = (name: string | null) => listed.value.find(({ run }) => run === name);
  const growth = new Growth(
    { error, find } as unknown as RunList,
    signal("a"),
    signal<readonly string[]>([]),
  );
  const onGrown = vi.fn();
  growth.start(onGrown);
  const list = (...runs: RunSummary[]) => {
    listed.value = runs;
  };
  return { growth, error, list, onGrown };
}

test("a run that was written to has grown, once", () => {
  const { growth, list, onGrown } = page();
  list(summary(5));
  expect(onGrown).not.toHaveBeenCalled();
  expect(growth.updatedAt.value).toBeNull();
  list(summary(6));
  list(summary(6));
  expect(onGrown).toHaveBeenCalledTimes(1);
  expect(growth.updatedAt.value).toBeGreaterThan(Date.now() - 1000);
});

test("a run that goes on with its clock put back has grown", () => {
  const { list, onGrown } = page();
  list(summary(5, 1));
  expect(onGrown).toHaveBeenCalledTimes(1);
});

test("a run that is read has not grown", () => {
  const { list, onGrown } = page([summary(5, null)]);
  list(summary(5, 7));
  expect(onGrown).not.toHaveBeenCalled();
});

test("a server that was away may have news, and what failed meanwhile is asked for again", () => {
  const { growth, error, onGrown } = page();
  error.value = "TensorBoard is not responding.";
  expect(onGrown).not.toHaveBeenCalled();
  error.value = undefined;
  expect(onGrown).toHaveBeenCalledTimes(1);
  expect(growth.updatedAt.value).toBeNull();
});

test.each([[5], [9]])("a server that has begun again is asked once it lists the run", (written) => {
  const { error, list, onGrown } = page();
  error.value = "TensorBoard is not responding.";
  list();
  error.value = undefined;
  expect(onGrown).not.toHaveBeenCalled();
  list(summary(written));
  expect(onGrown).toHaveBeenCalledTimes(1);
});

test("a run that was not listed before its server went is asked for once it is", () => {
  const { growth, error, list, onGrown } = page([]);
  error.value = "TensorBoard is not responding.";
  error.value = undefined;
  list(summary(5));
  expect(onGrown).toHaveBeenCalledTimes(1);
  expect(growth.updatedAt.value).toBeNull();
});

test("a run that is opened before it is listed is not asked for twice", () => {
  const { list, onGrown } = page([]);
  list(summary(5));
  expect(onGrown).not.toHaveBeenCalled();
});
