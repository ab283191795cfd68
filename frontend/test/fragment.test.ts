import fc from "fast-check";
import { expect, test } from "vitest";
import { fragmentWith, parseFragment } from "../src/host/fragment";
import { choicesFromUrl } from "../src/state/url_state";

test("the state comes back, whatever the names contain", () => {
  const states = fc.dictionary(fc.stringMatching(/^[a-z]+$/), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(states, (values) => {
      expect({ ...parseFragment(fragmentWith("#nanwatch", values) ?? "") }).toEqual({ ...values });
    }),
  );
});

test("other parts of the address stay", () => {
  expect(fragmentWith("#nanwatch&darkMode=true&p.nanwatch.run=old", { run: "a/b&c" })).toBe(
    "#nanwatch&darkMode=true&p.nanwatch.run=a%2Fb%26c",
  );
  expect(fragmentWith("", { run: "r" })).toBe("#nanwatch&p.nanwatch.run=r");
});

test("another plugin's address is left alone", () => {
  expect(fragmentWith("#scalars&tagFilter=x", { run: "r" })).toBeUndefined();
});

test("wrong values of an address are left out", () => {
  expect(
    choicesFromUrl({
      ...{ run: "", statistic: "norm", tensor: "t", step: "3", steps: "-5..40" },
      ...{ folds: "-loss,+weight%3Aa%2Cb", pinned: "x%2Cy,z", filter: "/a/", order: "largest" },
      ...{
        layout: "tree",
        role: "loss",
        only: "affected",
        search: "lr 3",
        sort: "time",
        range: "7..9",
      },
    }),
  ).toEqual({
    run: "",
    statistic: "norm",
    selection: { tensor: "t", step: 3 },
    range: { from: -5, to: 41 },
    folds: new Map([
      ["loss", false],
      ["weight:a,b", true],
    ]),
    pinned: new Set(["x,y", "z"]),
    ...{ filter: "/a/", order: "largest", layout: "tree", role: "loss", onlyAffected: true },
    ...{ runFilter: "lr 3", runOrder: "time", selectedRange: [7, 9] },
  });
  expect(
    choicesFromUrl({
      ...{ statistic: "nrom", tensor: "t", step: "third", steps: "9..3", folds: "%E0%A4" },
      ...{ order: "best", layout: "forest", only: "joy", sort: "luck", range: "9..8" },
    }),
  ).toEqual({ folds: new Map() });
});
