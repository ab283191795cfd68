/** The run as a whole, above the heatmap and in step with it: loss, gradient norm, update ratio. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../draw/canvas";
import { drawCurves } from "../draw/curves";
import { curveText, logTicks, type RunCurve } from "../model/curves";
import { columnOfStep, type Timeline } from "../model/timeline";
import type { Session } from "../state/session";
import { MARK_COLOURS } from "../theme/colours";

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
  const own = useMemo(
    () => ({ ...timeline, edges, columns: Math.max(0, edges.length - 1) }),
    [timeline, edges],
  );
  const selectedStep = session.selection.value?.step ?? null;
  useLayoutEffect(() => {
    if (!canvas.current) return;
    drawCurves(canvas.current, {
      ...{ timeline: own, theme, width, selectedStep },
      curves: [{ values: curve.values, colour: theme.positive }],
      left: GUTTER,
      height: CURVE_HEIGHT,
      ticks: logTicks,
      flagged: [
        { columns: curve.skipped, colour: theme.caution },
        { columns: curve.nonfinite, colour: MARK_COLOURS.nan.fill },
      ],
    });
  }, [curve, own, theme, width, selectedStep]);
  const column = step === null ? -1 : columnOfStep(own, step);
  return (
    <div class="curve" style={{ height: `${CURVE_HEIGHT}px` }}>
      <p style={{ width: `${labelWidth}px` }} title={curve.meaning}>
        <span class="curve-name">{curve.label}</span>
        {curve.nonfinite[column] ? (
          <b class="curve-value">non-finite</b>
        ) : (
          <span class="curve-value">{column < 0 ? "" : curveText(curve.values, column)}</span>
        )}
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
