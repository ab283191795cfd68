/** The histogram of magnitudes by powers of 2: positive elements above the axis, negative ones below. */

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { allNonfiniteText } from "../../model/cell_text";
import { type ExponentCounts, exponentCountsOf, limitLines } from "../../model/formats";
import { type Bar, barHeight, countTicks, overlaidBars } from "../../model/histogram";
import { formatCount, formatPowerOfTen, formatSteps } from "../../model/numbers";
import { type CellAnswer, numberFromWire } from "../../wire/answers";
import { useSize } from "../size";

const HALF = 62;
const AXIS = 18;
const TOP = 14;
const BOTTOM = 5;
const LEFT = 30;

interface HistogramProps {
  answer: CellAnswer;
  /** The cell to compare with, of an earlier step or of another run. */
  outline: CellAnswer | undefined;
  columns: NonNullable<CellAnswer["columns"]>;
  /** First and last step of the nearest histogram, where this cell has none. */
  nearest: [number, number] | undefined;
  onSelectStep: (step: number) => void;
  /** What the outline shows. */
  children?: ComponentChildren;
}

/** What the bars leave out. */
const COUNTS = [
  ["zero", "zero"],
  ["subnormal", "subnormal"],
  ["nan", "NaN"],
  ["pos_inf", "+Inf"],
  ["neg_inf", "−Inf"],
] as const;

export function Histogram(props: HistogramProps) {
  const { answer, outline, columns, children } = props;
  const figure = useRef<HTMLElement>(null);
  const { width } = useSize(figure);
  const counts = exponentCountsOf(answer);
  const other = outline && exponentCountsOf(outline);
  return (
    <figure class="histogram" ref={figure}>
      <figcaption>
        Histogram of magnitudes (powers of 2)
        <span>
          Positive up, negative down, log counts.
          {children}
        </span>
      </figcaption>
      {counts ? (
        <Bars
          counts={counts}
          other={other}
          width={Math.max(200, width)}
          emptyText={noBarsText(columns)}
        />
      ) : (
        <NoHistogram {...props} />
      )}
      <dl class="counts">
        {COUNTS.map(([name, label]) => (
          <div key={name} class={numberFromWire(columns[name]) > 0 ? `some ${name}` : ""}>
            <dt>{label}</dt>
            <dd>{formatCount(numberFromWire(columns[name]))}</dd>
          </div>
        ))}
      </dl>
    </figure>
  );
}

function NoHistogram({ nearest, onSelectStep }: Pick<HistogramProps, "nearest" | "onSelectStep">) {
  return (
    <p class="nothing">
      No histogram recorded here.
      {nearest && (
        <>
          {" "}
          Nearest:{" "}
          <button type="button" class="link" onClick={() => onSelectStep(nearest[0])}>
            {formatSteps(...nearest)}
          </button>
        </>
      )}
    </p>
  );
}

function noBarsText(columns: HistogramProps["columns"]): string {
  return `${allNonfiniteText(columns) || "All elements are NaN, Inf, zero or subnormal"}.`;
}

interface BarsProps {
  counts: ExponentCounts;
  other: ExponentCounts | undefined;
  width: number;
  /** Shown where there is no bar at all. */
  emptyText: string;
}

function Bars({ counts, other, width, emptyText }: BarsProps) {
  const { bars, most, other: outline } = overlaidBars(counts, other);
  if (bars.length === 0) return <p class="nothing">{emptyText}</p>;
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
          <path key={sign} class="outline" d={outlineOf(outline, sign)} />
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

/** Where elements become subnormal or overflow in a narrower format. */
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
  return `Histogram of magnitudes from 2^${first} to 2^${last}.`;
}
