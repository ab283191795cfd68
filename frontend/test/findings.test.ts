import { describe, expect, test } from "vitest";
import { markerAt } from "../src/draw/axis";
import { causeWords, primaryFinding, segmentsOf, tensorOf, whenWords } from "../src/model/findings";
import { timelineOf } from "../src/model/timeline";
import type { Finding } from "../src/wire/answers";
import { tensor } from "./answers";

function finding(change: Partial<Finding> = {}): Finding {
  return {
    cause: "loss-domain",
    severity: "error",
    step: 17,
    last_step: 240,
    origin: { role: "loss", layer: "", tensor: "loss" },
    victims: [],
    evidence: { nan: 1 },
    message: "",
    advice: "",
    ...change,
  };
}

describe("a finding", () => {
  test("says when, in the tense of its severity", () => {
    expect(whenWords(finding())).toBe("Broke at step 17");
    expect(whenWords(finding({ severity: "warning" }))).toBe("Unstable from step 17");
    const initial = finding({ cause: "nonfinite-initial-weight", step: 0 });
    expect(whenWords(initial)).toBe("Broke before step 0");
  });

  test("of an unknown cause keeps its name, whatever is in it", () => {
    expect(causeWords("loss-domain")).toBe("loss function outside its domain");
    expect(causeWords("of-a-newer\u202eversion")).toBe("of a newer�version");
  });

  test("leads the page where it is the first error, else the first warning, never a note", () => {
    const [note, warning, error] = (["info", "warning", "error"] as const).map((severity) =>
      finding({ severity }),
    ) as [Finding, Finding, Finding];
    expect(primaryFinding([note, warning, error])).toBe(2);
    expect(primaryFinding([note, warning])).toBe(1);
    expect(primaryFinding([note])).toBe(-1);
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
});

test("code stands apart from prose, and no character is lost", () => {
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
});

test("a sign of the axis is hit near its step alone, the chosen one before its neighbor", () => {
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
