import { afterEach, expect, test, vi } from "vitest";
import { whenShown } from "../src/host/visibility";

afterEach(() => vi.unstubAllGlobals());

test("a hidden tab catches up once, when it is shown", () => {
  const page = Object.assign(new EventTarget(), { innerHeight: 0 });
  vi.stubGlobal("window", page);
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
});
