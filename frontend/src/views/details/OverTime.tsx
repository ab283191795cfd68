/** The selected tensor over the steps in sight: its exponents, its norm, its zeros. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { type Curve, type CurvesPicture, drawCurves } from "../../draw/curves";
import {
  drawSpectrogram,
  SPECTROGRAM_LEFT,
  type SpectrogramPicture,
  timelineWithin,
} from "../../draw/spectrogram";
import { countTicks, logTicks, shareTicks } from "../../model/curves";
import { NONFINITE } from "../../model/marks";
import { formatCount } from "../../model/numbers";
import { columnOfStep, stepAt, stepsOfColumn } from "../../model/timeline";
import type { Session } from "../../state/session";
import { MARK_COLORS } from "../../theme/colors";
import type { Spectrogram } from "../../wire/spectrogram";
import { useSize } from "../size";

const CURVE_HEIGHT = 56;

export function OverTime({ session }: { session: Session }) {
  const figure = useRef<HTMLElement>(null);
  const { width } = useSize(figure);
  const spectrogram = session.selected.overTime.value.value;
  const range = session.viewport.range.value;
  const selection = session.selection.value;
  return (
    <figure class="over-time" ref={figure} aria-busy={session.selected.overTime.loading.value}>
      <figcaption>
        Over time
        <span>share of the elements by magnitude; a click selects the step</span>
      </figcaption>
      {spectrogram && range && selection && width > 0 ? (
        <Charts
          session={session}
          picture={{
            ...{ spectrogram, range, width, scale: session.viewport.scale.value },
            theme: session.theme.value,
            selectedStep: selection.step,
          }}
        />
      ) : (
        <p class="nothing">{session.selected.overTime.error.value ?? "Loading…"}</p>
      )}
    </figure>
  );
}

function Charts({ session, picture }: { session: Session; picture: SpectrogramPicture }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { spectrogram, theme } = picture;
  const taken = spectrogram.bins > 0;
  useLayoutEffect(() => {
    if (canvas.current) drawSpectrogram(canvas.current, picture);
  });
  const timeline = timelineWithin(picture);
  const onClick = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const step = Math.floor(stepAt(timeline, event.clientX - box.left - SPECTROGRAM_LEFT));
    const column = columnOfStep(timeline, step);
    const tensor = session.selection.value?.tensor;
    if (column < 0 || tensor === undefined) return;
    session.select({ tensor, step: Math.max(step, stepsOfColumn(timeline, column)[0]) });
  };
  const shared = {
    ...{ timeline, theme, left: SPECTROGRAM_LEFT, height: CURVE_HEIGHT },
    width: timeline.width,
    selectedStep: picture.selectedStep,
    flagged: [{ columns: nonfinite(spectrogram), color: MARK_COLORS.nan.fill }],
  };
  const { norm, largest_magnitude, zero_share, nonfinite: bad } = spectrogram.statistics;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the heatmap's arrow keys move the same step.
    // biome-ignore lint/a11y/noStaticElementInteractions: likewise.
    <div onClick={onClick}>
      {taken ? (
        <canvas ref={canvas} role="img" aria-label={describe(spectrogram)} />
      ) : (
        <p class="nothing">No histogram was taken in these steps.</p>
      )}
      <Chart
        label="Norm"
        others="largest magnitude"
        picture={{
          ...shared,
          curves: [
            { values: largest_magnitude, color: theme.negative },
            { values: norm, color: theme.positive },
          ],
          ticks: logTicks,
        }}
      />
      {bad.some((value) => value > 0) && (
        <Chart
          label="Non-finite elements"
          picture={{
            ...shared,
            curves: [{ values: bad.map((value) => Math.log10(1 + value)), color: theme.alarm }],
            ticks: countTicks,
            least: 0,
          }}
        />
      )}
      <Chart
        label="Zeros"
        picture={{
          ...shared,
          curves: [{ values: zero_share, color: theme.positive }],
          ticks: shareTicks,
          least: 0,
        }}
      />
    </div>
  );
}

interface ChartProps {
  label: string;
  /** What the first of two curves shows. */
  others?: string;
  picture: CurvesPicture;
}

function Chart({ label, others, picture }: ChartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (canvas.current) drawCurves(canvas.current, picture);
  });
  const colors = picture.curves.map(({ color }: Curve) => color);
  return (
    <div class="chart">
      <p>
        <i style={{ background: colors.at(-1) }} /> {label}
        {others && (
          <>
            <i style={{ background: colors[0] }} /> {others}
          </>
        )}
      </p>
      <canvas ref={canvas} role="img" aria-label={`${label} over time`} />
    </div>
  );
}

function nonfinite({ flags }: Spectrogram): Uint8Array {
  return flags.map((flag) => flag & NONFINITE);
}

function describe({ first_exponent, bins, edges }: Spectrogram): string {
  const [low, high] = [first_exponent, first_exponent + bins];
  return `Magnitudes from 2^${low} to 2^${high} over steps ${formatCount(edges[0] ?? 0)} to ${formatCount((edges.at(-1) ?? 1) - 1)}.`;
}
