import { afterEach, expect, test, vi } from "vitest";
import { whenShown } from "../src/host/visibility";

afterEach(() => vi.unstubAllGlobals());

test("a hidden tab catches up once, when it or its page is visible again", () => {
  const page = Object.assign(new EventTarget(), { innerHeight: 0 });
  const browser = Object.assign(new EventTarget(), { visibilityState: "visible" });
  vi.stubGlobal("window", page);
  vi.stubGlobal("document", browser);
  const reload = vi.fn();
  const reloadWhenShown = whenShown(reload);
  reloadWhenShown();
  reloadWhenShown();
  page.dispatchEvent(new Event("resize"));
  expect(reload).not.toHaveBeenCalled();
  page.innerHeight = 800;
  page.dispatchEvent(new Event("resize"));
  page.dispatchEvent(new Event("resize"));
  expect(reload).toHaveBeenCalledTimes(1);
  reloadWhenShown();
  expect(reload).toHaveBeenCalledTimes(2);
  browser.visibilityState = "hidden";
  reloadWhenShown();
  expect(reload).toHaveBeenCalledTimes(2);
  browser.visibilityState = "visible";
  browser.dispatchEvent(new Event("visibilitychange"));
  expect(reload).toHaveBeenCalledTimes(3);
});
