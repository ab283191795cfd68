/** The exponent histogram: positive elements above the axis, negative ones below it. */

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { type ExponentCounts, exponentCountsOf, limitLines } from "../../model/formats";
import { type Bar, barHeight, countTicks, overlaidBars } from "../../model/histogram";
import { formatCount, formatPowerOfTen } from "../../model/numbers";
import { type CellAnswer, numberFromWire } from "../../wire/answers";
import { useSize } from "../size";

const HALF = 62;
const AXIS = 18;
const TOP = 14;
const BOTTOM = 5;
const LEFT = 30;

interface HistogramProps {
  answer: CellAnswer;
  /** Of an earlier step or of another run, to be compared with. */
  earlier: CellAnswer | undefined;
  columns: NonNullable<CellAnswer["columns"]>;
  /** What the outline is of. */
  children?: ComponentChildren;
}

export function Histogram({ answer, earlier, columns, children }: HistogramProps) {
  const figure = useRef<HTMLElement>(null);
  const { width } = useSize(figure);
  const spread = exponentCountsOf(answer);
  const other = earlier && exponentCountsOf(earlier);
  const apart = [
    ["zero", "zero"],
    ["subnormal", "subnormal"],
    ["nan", "NaN"],
    ["pos_inf", "+Inf"],
    ["neg_inf", "−Inf"],
  ] as const;
  return (
    <figure class="histogram" ref={figure}>
      <figcaption>
        Elements by binary exponent
        <span>
          positive above, negative below, log scale
          {children}
        </span>
      </figcaption>
      {spread ? (
        <Bars spread={spread} other={other} width={Math.max(200, width)} />
      ) : (
        <p class="nothing">No histogram was taken in these steps.</p>
      )}
      <dl class="apart">
        {apart.map(([name, label]) => (
          <div key={name} class={numberFromWire(columns[name]) > 0 ? `some ${name}` : ""}>
            <dt>{label}</dt>
            <dd>{formatCount(numberFromWire(columns[name]))}</dd>
          </div>
        ))}
      </dl>
    </figure>
  );
}

interface BarsProps {
  spread: ExponentCounts;
  other: ExponentCounts | undefined;
  width: number;
}

function Bars({ spread, other, width }: BarsProps) {
  const { bars, most, other: outline } = overlaidBars(spread, other);
  if (bars.length === 0) return <p class="nothing">No element is a finite, normal number.</p>;
  const slot = (width - LEFT) / bars.length;
  const low = bars[0]?.exponent ?? 0;
  const xOf = (exponent: number) => LEFT + (exponent - low) * slot;
  const middle = TOP + HALF + AXIS / 2;
  const height = TOP + 2 * HALF + AXIS + BOTTOM;
  const every = Math.max(1, Math.ceil(bars.length / Math.floor((width - LEFT) / 34)));
  return (
    <svg width={width} height={height} role="img" aria-label={summary(bars)}>
      {countTicks(most).flatMap((tick) =>
        [-1, 1].map((side) => {
          const y = middle + side * (AXIS / 2 + barHeight(tick, most) * HALF);
          return (
            <g key={`${side} ${tick}`} class="grid">
              <line x1={LEFT} x2={width} y1={y} y2={y} />
              <text x={LEFT - 4} y={y + 3.5} text-anchor="end">
                {formatPowerOfTen(Math.round(Math.log10(tick)))}
              </text>
            </g>
          );
        }),
      )}
      {bars.map((bar) => (
        <g key={bar.exponent}>
          <title>{barTitle(bar)}</title>
          <rect
            class="positive"
            {...barBox(bar.positive, -1)}
            x={xOf(bar.exponent)}
            width={inner(slot)}
          />
          <rect
            class="negative"
            {...barBox(bar.negative, 1)}
            x={xOf(bar.exponent)}
            width={inner(slot)}
          />
        </g>
      ))}
      {bars
        .filter(({ exponent }) => exponent % every === 0)
        .map(({ exponent }) => (
          <text key={exponent} class="exponent" x={xOf(exponent) + slot / 2} y={middle + 3.5}>
            {String(exponent).replace("-", "−")}
          </text>
        ))}
      {outline.length > 0 &&
        (["positive", "negative"] as const).map((sign) => (
          <path key={sign} class="earlier" d={outlineOf(outline, sign)} />
        ))}
      <Limits low={low} high={low + bars.length - 1} xOf={xOf} height={height} />
    </svg>
  );

  /** From edge to edge, over all bars of one sign. */
  function outlineOf(outline: readonly Bar[], sign: "positive" | "negative"): string {
    const points = outline.flatMap((bar) => {
      const { y, height: tall } = barBox(bar[sign], sign === "positive" ? -1 : 1);
      const end = sign === "positive" ? y : y + tall;
      return [`${xOf(bar.exponent)} ${end}`, `${xOf(bar.exponent + 1)} ${end}`];
    });
    return `M${points.join("L")}`;
  }

  function barBox(value: number, side: -1 | 1): { y: number; height: number } {
    const tall = barHeight(value, most) * HALF;
    return { y: side < 0 ? middle - AXIS / 2 - tall : middle + AXIS / 2, height: tall };
  }
}

interface LimitsProps {
  low: number;
  high: number;
  xOf: (exponent: number) => number;
  height: number;
}

/** Where a narrower format would make subnormals of these elements, or overflow. */
function Limits({ low, high, xOf, height }: LimitsProps) {
  const edges = limitLines(low, high);
  return (
    <g class="limits">
      {edges.map(({ text, exponent }) => (
        <g key={text}>
          <line x1={xOf(exponent)} x2={xOf(exponent)} y1={TOP - 2} y2={height} />
          <text
            x={xOf(exponent)}
            y={9}
            text-anchor={xOf(exponent) > xOf(high) - 60 ? "end" : "middle"}
          >
            {text}
          </text>
        </g>
      ))}
    </g>
  );
}

function inner(slot: number): number {
  return Math.max(1, slot > 4 ? slot - 1 : slot);
}

function barTitle({ exponent, positive, negative }: Bar): string {
  const power = String(exponent).replace("-", "−");
  const next = String(exponent + 1).replace("-", "−");
  return `2^${power} ≤ |x| < 2^${next}\n${formatCount(positive)} positive\n${formatCount(negative)} negative`;
}

function summary(bars: readonly Bar[]): string {
  const filled = bars.filter(({ positive, negative }) => positive + negative > 0);
  const first = filled[0]?.exponent;
  const last = filled.at(-1)?.exponent;
  return `Histogram of binary exponents, from ${first} to ${last}.`;
}
