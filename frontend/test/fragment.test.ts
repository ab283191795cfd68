import fc from "fast-check";
import { expect, test } from "vitest";
import { parseFragment, withKept } from "../src/host/fragment";
import { choicesOf } from "../src/state/kept";

test("what is kept comes back, whatever the names hold", () => {
  const kept = fc.dictionary(fc.stringMatching(/^[a-z]+$/), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(kept, (values) => {
      expect({ ...parseFragment(withKept("#nanwatch", values) ?? "") }).toEqual({ ...values });
    }),
  );
});

test("other parts of the address stay", () => {
  expect(withKept("#nanwatch&darkMode=true&p.nanwatch.run=old", { run: "a/b&c" })).toBe(
    "#nanwatch&darkMode=true&p.nanwatch.run=a%2Fb%26c",
  );
  expect(withKept("", { run: "r" })).toBe("#nanwatch&p.nanwatch.run=r");
});

test("another plugin's address is left alone", () => {
  expect(withKept("#scalars&tagFilter=x", { run: "r" })).toBeUndefined();
});

test("what an address holds wrongly is left out", () => {
  expect(parseFragment("#nanwatch&p.nanwatch.run=%E0%A4%A&p.nanwatch.step=3")).toEqual({
    step: "3",
  });
  expect(choicesOf({ statistic: "nrom", tensor: "t", step: "1.5", closed: "" })).toEqual({});
  expect(
    choicesOf({ run: "", statistic: "norm", tensor: "t", step: "3", closed: "loss,weight" }),
  ).toEqual({
    run: "",
    statistic: "norm",
    selection: { tensor: "t", step: 3 },
    closed: new Set(["loss", "weight"]),
  });
});
