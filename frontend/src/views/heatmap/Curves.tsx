/** The run as a whole, above the heatmap and in step with it: loss, gradient norm, update ratio. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import { drawCurves } from "../../draw/curves";
import { type LineStyle, lineOfRun } from "../../draw/line_styles";
import { formatCurveValue, logTicks, type RunCurve } from "../../model/curves";
import { visibleName } from "../../model/names";
import { columnOfStep, type Timeline } from "../../model/timeline";
import type { Session } from "../../state/session";
import { MARK_COLORS } from "../../theme/colors";

export const CURVE_HEIGHT = 40;

interface CurvesProps {
  session: Session;
  curves: readonly RunCurve[];
  timeline: Timeline;
  labelWidth: number;
  width: number;
  top: number;
  /** The step whose values are told. */
  step: number | null;
}

export function Curves(props: CurvesProps) {
  return (
    <div class="curves" style={{ top: `${props.top}px` }}>
      {props.curves.map((curve) => (
        <Row key={curve.name} {...props} curve={curve} />
      ))}
    </div>
  );
}

function Row({
  session,
  curve,
  timeline,
  labelWidth,
  width,
  step,
}: CurvesProps & { curve: RunCurve }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = session.theme.value;
  const { edges } = curve;
  const own = useMemo(() => alongside(timeline, edges), [timeline, edges]);
  const others = session.compared.value.map(({ run, curves }) => ({
    run,
    curve: curves.value.value.find(({ name }) => name === curve.name),
  }));
  const shown = others.map(({ curve }) => curve);
  const selectedStep = session.selection.value?.step ?? null;
  useLayoutEffect(() => {
    if (!canvas.current) return;
    drawCurves(canvas.current, {
      ...{ timeline: own, theme, width, selectedStep },
      // The chosen run's last, upon the others.
      curves: [
        ...shown.flatMap((one, index) =>
          one
            ? {
                values: one.values,
                timeline: alongside(timeline, one.edges),
                ...lineOfRun(theme, index + 1),
              }
            : [],
        ),
        { values: curve.values, ...lineOfRun(theme, 0) },
      ],
      left: GUTTER,
      height: CURVE_HEIGHT,
      ticks: logTicks,
      flagged: [
        { columns: curve.skipped, color: theme.caution },
        { columns: curve.nonfinite, color: MARK_COLORS.nan.fill },
      ],
    });
  }, [curve, own, theme, width, selectedStep, ...shown]);
  return (
    <div class="curve" style={{ height: `${CURVE_HEIGHT}px` }}>
      <p
        class={others.length > 0 ? "several" : ""}
        style={{ width: `${labelWidth}px` }}
        title={curve.meaning}
      >
        <span class="curve-name">{curve.label}</span>
        <Value
          curve={curve}
          step={step}
          {...(others.length > 0 && {
            style: lineOfRun(theme, 0),
            run: session.run.value ?? "",
          })}
        />
        {others.map(({ run, curve }, index) => (
          <Value
            key={run}
            curve={curve}
            step={step}
            style={lineOfRun(theme, index + 1)}
            run={run}
          />
        ))}
      </p>
      <canvas
        ref={canvas}
        style={{ left: `${labelWidth - GUTTER}px` }}
        role="img"
        aria-label={`${curve.label} by step`}
      />
    </div>
  );
}

/** What a curve is at a step; of a run beside the chosen one, after a piece of its line. */
function Value({
  curve,
  step,
  style,
  run,
}: {
  curve: RunCurve | undefined;
  step: number | null;
  style?: LineStyle;
  run?: string;
}) {
  if (!curve || step === null) return null;
  const column = columnOfStep({ edges: curve.edges, columns: curve.edges.length - 1 }, step);
  const text = column < 0 ? "" : formatCurveValue(curve.values, column);
  return (
    <span class="curve-value" title={run && visibleName(run)}>
      {style && text && <LineSwatch style={style} />}
      {curve.nonfinite[column] ? <b>non-finite</b> : text}
    </span>
  );
}

/** A piece of a run's line. */
export function LineSwatch({ style: { color, dash } }: { style: LineStyle }) {
  return (
    <svg class="line-swatch" width="20" height="8" viewBox="0 0 20 8" aria-hidden="true">
      <path d="M0 4h20" stroke={color} stroke-width="2" stroke-dasharray={dash.join(" ")} />
    </svg>
  );
}

/** The same steps in sight, in the columns of another grid. */
function alongside(timeline: Timeline, edges: readonly number[]): Timeline {
  return { ...timeline, edges, columns: Math.max(0, edges.length - 1) };
}
