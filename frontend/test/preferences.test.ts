import { afterEach, expect, test, vi } from "vitest";
import { readStored, store } from "../src/host/storage";
import { clampedWidth, Preferences } from "../src/state/preferences";

afterEach(() => vi.unstubAllGlobals());

function storage(): Map<string, string> {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  return kept;
}

test("preferences are kept", () => {
  const kept = storage();
  const preferences = new Preferences();
  preferences.start();
  expect(preferences.knowsHint.value).toBe(false);
  preferences.runsWidth.value = 300;
  preferences.knowsHint.value = true;
  expect(Object.fromEntries(kept)).toEqual({
    "nanwatch.runs-width": "300",
    "nanwatch.hint": "closed",
  });
  const later = new Preferences();
  expect([later.runsWidth.value, later.knowsHint.value]).toEqual([300, true]);
});

test("a frame that may keep nothing does without", () => {
  const forbidden = {
    get getItem(): never {
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
    get setItem(): never {
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
  };
  vi.stubGlobal("localStorage", forbidden);
  expect(readStored("hint")).toBeNull();
  expect(() => store("hint", "closed")).not.toThrow();
  expect(new Preferences().runsWidth.value).toBe(212);
});

test("a kept width that is none, or out of bounds, does no harm", () => {
  const kept = storage();
  for (const [text, width] of [
    ["", 212],
    ["wide", 212],
    ["9999", 520],
    ["1", 140],
  ] as const) {
    kept.set("nanwatch.runs-width", text);
    expect(new Preferences().runsWidth.value).toBe(width);
  }
  expect(clampedWidth(300.4)).toBe(300);
});
