/** The scales of the horizontal axis: steps, their logarithm, wall time. */

import { bisectRight, median } from "d3-array";
import type { AxisName, Times } from "../wire/answers";
import { formatCount, formatDuration } from "./numbers";

export const AXES: readonly { name: AxisName; label: string; description: string }[] = [
  { name: "step", label: "Step", description: "All steps have the same width" },
  {
    name: "log",
    label: "Log step",
    description: "Logarithmic, with more room for the first steps",
  },
  {
    name: "wall",
    label: "Time",
    description: "Wall time since the start of the run",
  },
];

/** A strictly ascending map from steps, with their fractions, to positions on the axis, and back. */
export interface StepScale {
  name: AxisName;
  position: (step: number) => number;
  step: (position: number) => number;
  /** Positions between which nothing ran, such as a night between two sessions. */
  pauses: readonly (readonly [from: number, to: number])[];
}

export const STEPS: StepScale = {
  name: "step",
  position: (step) => step,
  step: (position) => position,
  pauses: [],
};

/** Step s begins at log10(1 + s), so that step 0 has a position; negative steps mirror it. */
export const LOG_STEPS: StepScale = {
  name: "log",
  position: (step) => Math.sign(step) * Math.log10(1 + Math.abs(step)),
  step: (position) => Math.sign(position) * (10 ** Math.abs(position) - 1),
  pauses: [],
};

/** Seconds since the run began. */
export function wallTime({ steps, seconds }: Times): StepScale {
  const begin = seconds[0] ?? 0;
  const since = seconds.map((second) => second - begin);
  return {
    name: "wall",
    position: (step) => through(step, steps, since),
    step: (position) => through(position, since, steps),
    pauses: pausesOf(steps, since),
  };
}

/** A step that took this many times as long as the median includes a pause. */
const PAUSE = 10;
/** Seconds; anything shorter is a validation, a checkpoint, or a re-run step. */
const LEAST_PAUSE = 300;

/** The server gives a pause to one step; the step itself is taken to last the median. */
function pausesOf(steps: readonly number[], since: readonly number[]): [number, number][] {
  const spans = since.slice(1).map((to, at) => ({
    ...{ from: since[at] as number, to },
    steps: (steps[at + 1] as number) - (steps[at] as number),
  }));
  const usual = median(spans, ({ from, to, steps }) => (to - from) / steps) ?? 0;
  return spans.flatMap(({ from, to, steps }) =>
    steps === 1 && to - from > Math.max(PAUSE * usual, LEAST_PAUSE) ? [[from, to - usual]] : [],
  );
}

/** Linear between what is known, and beyond it by the slope from its first to its last. */
function through(at: number, known: readonly number[], values: readonly number[]): number {
  const last = known.length - 1;
  const [low, high] = [known[0] as number, known[last] as number];
  const slope = ((values[last] as number) - (values[0] as number)) / (high - low);
  if (at <= low) return (values[0] as number) + (at - low) * slope;
  if (at >= high) return (values[last] as number) + (at - high) * slope;
  const after = bisectRight(known as number[], at);
  const [from, to] = [known[after - 1] as number, known[after] as number];
  const [begin, end] = [values[after - 1] as number, values[after] as number];
  return begin + ((at - from) / (to - from)) * (end - begin);
}

/** "12.5 s after start, 2026-03-01 14:03:05": when a step began. */
export function formatTime(times: Times, step: number): string {
  const since = wallTime(times).position(step);
  const at = new Date(((times.seconds[0] ?? 0) + since) * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${formatDuration(since)} after start, ${day} ${clock}`;
}

export interface Tick {
  /** Where on the axis, in the unit of the scale. */
  position: number;
  text: string;
}

/** Round tick intervals in seconds. */
const SPANS = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800],
  ...[3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800],
];

/** Round spans of time between two positions, `spacing` seconds from one another at least. */
export function timeTicks(from: number, to: number, spacing: number): Tick[] {
  const longest = SPANS.at(-1) as number;
  const every = SPANS.find((span) => span >= spacing) ?? Math.ceil(spacing / longest) * longest;
  const ticks: Tick[] = [];
  for (let index = Math.ceil(from / every); index * every <= to; index++) {
    ticks.push({ position: index * every, text: formatDuration(index * every) });
  }
  return ticks;
}

/** Pixels of a digit, and those between two numbers. */
const DIGIT = 7;
const GAP = 20;

/**
 * Round steps on a logarithmic axis, as many as there is room for: 0 and powers of ten first, then 5
 * and 2 times them, then all others.
 */
export function logTicks(first: number, last: number, pixelsPerUnit: number): Tick[] {
  const middle = (step: number) => (LOG_STEPS.position(step) + LOG_STEPS.position(step + 1)) / 2;
  const ticks: Tick[] = [];
  const add = (step: number) => {
    if (step < first || step > last) return;
    const [position, text] = [middle(step), formatCount(step)];
    const isFree = ticks.every((tick) => {
      const distance = Math.abs(tick.position - position) * pixelsPerUnit;
      return distance >= GAP + (DIGIT * (text.length + tick.text.length)) / 2;
    });
    if (isFree) ticks.push({ position, text });
  };
  const most = Math.ceil(Math.log10(1 + Math.max(Math.abs(first), Math.abs(last))));
  add(0);
  for (const factors of [[1], [5], [2], [3, 4, 6, 7, 8, 9]]) {
    for (let power = 0; power <= most; power++) {
      for (const factor of factors) for (const sign of [1, -1]) add(sign * factor * 10 ** power);
    }
  }
  // Zoomed in so far that none of these is visible: the roundest steps there are.
  for (let unit = 10 ** most; unit >= 1; unit /= 10) {
    const wanted = Math.floor(last / unit) - Math.ceil(first / unit) + 1;
    if (wanted > 60) break;
    for (let step = Math.ceil(first / unit) * unit; step <= last; step += unit) add(step);
  }
  return ticks.sort((a, b) => a.position - b.position);
}
