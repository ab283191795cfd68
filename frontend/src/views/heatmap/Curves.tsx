/** Curves of the whole run above the heatmap: loss, gradient norm, update ratio, loss scale. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import { drawCurves } from "../../draw/curves";
import { type LineStyle, lineOfRun } from "../../draw/line_styles";
import { formatCurveValue, logTicks, type RunCurve } from "../../model/curves";
import { visibleName } from "../../model/names";
import { columnOfStep, type Timeline } from "../../model/timeline";
import type { ComparedRun } from "../../state/compared_run";
import { MARK_COLORS, type Theme } from "../../theme/colors";
import { LineSwatch } from "./LineSwatch";
import { CURVE_HEIGHT } from "./layout";

interface CurvesProps {
  curves: readonly RunCurve[];
  /** Name of the selected run. */
  run: string;
  compared: readonly ComparedRun[];
  timeline: Timeline;
  theme: Theme;
  labelWidth: number;
  width: number;
  top: number;
  /** The step whose values are shown. */
  step: number | null;
  selectedStep: number | null;
}

export function Curves(props: CurvesProps) {
  return (
    <div class="curves" style={{ top: `${props.top}px` }}>
      {props.curves.map((curve) => (
        <CurveRow key={curve.name} {...props} curve={curve} />
      ))}
    </div>
  );
}

function CurveRow(props: CurvesProps & { curve: RunCurve }) {
  const { curve, run, compared, timeline, theme, labelWidth, width, step, selectedStep } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { edges } = curve;
  const ownTimeline = useMemo(() => withColumns(timeline, edges), [timeline, edges]);
  const others = compared.map((one) => ({
    run: one.run,
    curve: one.curves.value.value.find(({ name }) => name === curve.name),
  }));
  const otherCurves = others.map((one) => one.curve);
  useLayoutEffect(() => {
    if (!canvas.current) return;
    drawCurves(canvas.current, {
      ...{ timeline: ownTimeline, theme, width, selectedStep },
      // The selected run's last, on top of the others.
      curves: [
        ...otherCurves.flatMap((one, index) =>
          one
            ? {
                values: one.values,
                timeline: withColumns(timeline, one.edges),
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
        { columns: curve.nonfinite, color: MARK_COLORS.nan.badge },
      ],
    });
  }, [curve, ownTimeline, theme, width, selectedStep, ...otherCurves]);
  const isCompared = others.length > 0;
  return (
    <div class="curve" style={{ height: `${CURVE_HEIGHT}px` }}>
      <p
        class={isCompared ? "several" : ""}
        style={{ width: `${labelWidth}px` }}
        title={curve.description}
      >
        <span class="curve-name">{curve.label}</span>
        <CurveValue
          curve={curve}
          step={step}
          run={isCompared ? run : undefined}
          style={isCompared ? lineOfRun(theme, 0) : undefined}
        />
        {others.map((one, index) => (
          <CurveValue
            key={one.run}
            curve={one.curve}
            step={step}
            run={one.run}
            style={lineOfRun(theme, index + 1)}
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

interface CurveValueProps {
  curve: RunCurve | undefined;
  step: number | null;
  /** Name and line of the run, where there are several. */
  run: string | undefined;
  style: LineStyle | undefined;
}

function CurveValue({ curve, step, run, style }: CurveValueProps) {
  if (!curve || step === null) return null;
  const column = columnOfStep({ edges: curve.edges, columns: curve.edges.length - 1 }, step);
  const text = column < 0 ? "" : formatCurveValue(curve.values, column);
  return (
    <span class="curve-value" title={run && visibleName(run)}>
      {style && text && <LineSwatch style={style} />}
      {curve.nonfinite[column] ? <b>NaN/Inf</b> : text}
    </span>
  );
}

/** The same visible steps, in the columns of another grid. */
function withColumns(timeline: Timeline, edges: readonly number[]): Timeline {
  return { ...timeline, edges, columns: Math.max(0, edges.length - 1) };
}
