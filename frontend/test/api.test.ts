import { afterEach, expect, test, vi } from "vitest";
import { AnswerCache, cellCache } from "../src/api/answer_cache";
import { Latest } from "../src/api/latest";
import { errorSentence, get, queryText } from "../src/api/request";
import type { CellAnswer } from "../src/wire/answers";

afterEach(() => vi.unstubAllGlobals());

test("addresses are relative, and what is asked is escaped", async () => {
  const fetched = vi.fn(async () => new Response("{}"));
  vi.stubGlobal("fetch", fetched);
  await get("grid", { run: "a/b &c", role: ["loss", "weight"], first: undefined, columns: 8 });
  expect(fetched).toHaveBeenCalledWith("./grid?columns=8&role=loss&role=weight&run=a%2Fb+%26c", {});
});

test("queries are the same whatever the order of their keys, and differ by any value", () => {
  const query = { run: "a", role: ["loss", "weight"], first: 0 };
  expect(queryText({ first: 0, role: ["loss", "weight"], run: "a" })).toBe(queryText(query));
  expect(queryText({ ...query, role: ["loss"] })).not.toBe(queryText(query));
  expect(queryText({ ...query, first: 1 })).not.toBe(queryText(query));
});

test("an error is the server's own sentence", async () => {
  vi.stubGlobal(
    "fetch",
    async () => new Response('{"error": "Unknown run \'x\'."}', { status: 404 }),
  );
  await expect(get("run", { run: "x" })).rejects.toThrow("Unknown run 'x'.");
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(get("runs", {})).rejects.toThrow("TensorBoard is not responding");
  expect(errorSentence("<html>Bad gateway", 502)).toBe("<html>Bad gateway");
  expect(errorSentence("", 502)).toBe("The server answered with status 502.");
});

test("a later request takes the place of an earlier one", async () => {
  const latest = new Latest();
  let answerFirst: (value: string) => void = () => undefined;
  let aborted = false;
  const first = latest.ask((signal) => {
    signal.addEventListener("abort", () => {
      aborted = true;
    });
    return new Promise<string>((resolve) => {
      answerFirst = resolve;
    });
  });
  const second = latest.ask(async () => "second");
  answerFirst("first");
  expect(await first).toBeUndefined();
  expect(await second).toBe("second");
  expect(aborted).toBe(true);
});

test("a cell is asked for once, until the data changes", async () => {
  const fetchCell = vi.fn(async () => ({ records: 1 }) as CellAnswer);
  const cells = cellCache(fetchCell);
  const query = { run: "r", tensor: "t", first: 0, last: 3 };
  expect(cells.peek(query)).toBeUndefined();
  await cells.get(query);
  await cells.get({ ...query });
  expect(fetchCell).toHaveBeenCalledTimes(1);
  cells.clear();
  expect(cells.peek(query)).toBeUndefined();
});

test("an answer that was on its way when the data changed is not cached", async () => {
  let answer: (cell: CellAnswer) => void = () => undefined;
  const cells = cellCache(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  const query = { run: "r", tensor: "t", first: 0, last: 3 };
  const asked = cells.get(query);
  cells.clear();
  answer({ records: 1 } as CellAnswer);
  await asked;
  expect(cells.peek(query)).toBeUndefined();
});

test("answers are dropped by their weight, the least recently used first", async () => {
  const fetched = vi.fn(async ({ size }: { size: number }) => ({ size }));
  const cache = new AnswerCache(fetched, 10, ({ size }) => size);
  await cache.get({ size: 4 });
  await cache.get({ size: 5 });
  await cache.get({ size: 4 });
  await cache.get({ size: 3 });
  expect(cache.peek({ size: 5 })).toBeUndefined();
  expect(cache.peek({ size: 4 })).toEqual({ size: 4 });
  await cache.get({ size: 20 });
  expect([3, 4, 20].filter((size) => cache.peek({ size }))).toEqual([20]);
  expect(fetched).toHaveBeenCalledTimes(4);
});
