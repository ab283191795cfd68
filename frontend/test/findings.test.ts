import { describe, expect, test } from "vitest";
import { markerAt } from "../src/draw/axis";
import {
  codeInOneLine,
  firstSentence,
  originOf,
  placeTitle,
  plainText,
  primaryFinding,
  recordAlsoCode,
  recordAlsoText,
  segmentsOf,
  severityLabel,
  tensorOf,
} from "../src/model/findings";
import { timelineOf } from "../src/model/timeline";
import type { Finding } from "../src/wire/answers";
import { ROLES, SEVERITIES } from "../src/wire/schema";
import { finding, tensor } from "./answers";

describe("a finding", () => {
  test("leads the page where it is the first error, else the first warning, never a note", () => {
    const [error, warning, note] = SEVERITIES.map((severity) => finding({ severity })) as [
      Finding,
      Finding,
      Finding,
    ];
    expect(primaryFinding([note, warning, error])).toBe(2);
    expect(primaryFinding([note, warning])).toBe(1);
    expect(primaryFinding([note])).toBe(-1);
  });

  test("has a label for each severity that the server knows", () => {
    expect(SEVERITIES.map(severityLabel)).toEqual(["Error", "Warning", "Note"]);
  });

  test("began in its origin, or in the first recorded tensor that it spread to", () => {
    const place = { role: "gradient", layer: "dense", tensor: "sequential/dense/kernel" };
    const unknown = { role: "activation", layer: "x", tensor: "x" };
    const tensors = [tensor()];
    const known = originOf(finding({ origin: place, step: 17 }), tensors);
    expect([known?.tensor, known?.step]).toEqual([tensors[0], 17]);
    const affected = [
      { ...unknown, step: 18 },
      { ...place, step: 19 },
    ];
    expect(originOf(finding({ origin: unknown, affected }), tensors)?.step).toBe(19);
    expect(originOf(finding({ origin: unknown }), tensors)).toBeNull();
  });

  test("has its code in one line where there is one for it", () => {
    const code = "optimizer = SGD(\n    0.01,  # ten times less\n    clipnorm=1.0,\n)";
    expect(codeInOneLine(code)).toBe("optimizer = SGD(0.01, clipnorm=1.0)");
    expect(codeInOneLine("a = f(x)  # first\n\nb = a[0]\n")).toBe("a = f(x); b = a[0]");
    expect(codeInOneLine("f(\n  [\n    1\n  ]\n)")).toBe("f([1])");
    expect(codeInOneLine("x + 1e-6")).toBe("x + 1e-6");
  });

  test("is cut to a sentence where there is a line for it", () => {
    expect(firstSentence("Use `x + 1e-6`. Clipping will not fix this.")).toBe("Use `x + 1e-6`.");
    expect(firstSentence("At model.py:57, add an epsilon")).toBe("At model.py:57, add an epsilon");
  });

  test("finds its tensor by role, name, layer and worker", () => {
    const tensors = [
      tensor({ id: "w", role: "weight" }),
      tensor({ id: "g0", worker: "worker0" }),
      tensor({ id: "g1", worker: "worker1" }),
    ];
    const place = { role: "gradient", layer: "dense", tensor: "sequential/dense/kernel" };
    expect(tensorOf({ ...place, worker: "worker1" }, tensors)?.id).toBe("g1");
    expect(tensorOf(place, tensors)?.id).toBe("g0");
    expect(tensorOf({ ...place, role: "weight" }, tensors)?.id).toBe("w");
    expect(tensorOf({ ...place, tensor: "other" }, tensors)).toBeUndefined();
  });

  test("names a place by role and tensor, each once", () => {
    expect(placeTitle({ role: "input", layer: "", tensor: "input" })).toBe("input");
    const place = { role: "activation_gradient", layer: "a", tensor: "net/a" };
    expect(placeTitle(place)).toBe("activation gradient net/a");
    expect(placeTitle({ ...place, worker: "worker1" })).toBe(
      "activation gradient net/a on worker1",
    );
  });

  test("names the roles to record, as a sentence and as code", () => {
    expect(recordAlsoText(["activation", "activation_gradient"])).toBe(
      "To pinpoint the origin, also record activations, activation gradients:",
    );
    expect(recordAlsoCode(["activation", "slot"]).split("\n")).toEqual([
      'nanwatch.Callback(log_dir, watch=["default", "activation", "slot"])',
      "watcher.observe(activation=..., slot=...)  # in a loop of your own",
    ]);
    for (const { name } of ROLES) expect(recordAlsoText([name])).not.toContain("_");
  });
});

test("code is told from prose, and no character is lost", () => {
  expect(segmentsOf("Use `tf.where` twice:\n```python\nx = 1\n```\nDone.")).toEqual([
    { code: false, block: false, text: "Use " },
    { code: true, block: false, text: "tf.where" },
    { code: false, block: false, text: " twice:\n" },
    { code: true, block: true, text: "x = 1" },
    { code: false, block: false, text: "\nDone." },
  ]);
  expect(segmentsOf("a lone ` stays")).toEqual([
    { code: false, block: false, text: "a lone ` stays" },
  ]);
  expect(segmentsOf("")).toEqual([]);
  expect(plainText("NaN at step 3 · `Sqrt` in layer `a`")).toBe("NaN at step 3 · Sqrt in layer a");
});

test("a marker of the axis is hit near its step only, the active one before its neighbor", () => {
  const timeline = timelineOf([0, 100], 700, { from: 0, to: 100 });
  const markers = [10, 11].map((step) => ({
    ...{ step, severity: "error" as const, text: "" },
    active: step === 11,
  }));
  expect(markerAt(markers, timeline, 70, 8)).toBe(0);
  expect(markerAt(markers, timeline, 73, 8)).toBe(1);
  expect(markerAt(markers, timeline, 200, 8)).toBe(-1);
  expect(markerAt(markers, timeline, 70, 30)).toBe(-1);
});
