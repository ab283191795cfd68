/** The selected tensor over the visible steps: its magnitudes, its norm, its zeros. */

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
import type { Range } from "../../model/range";
import type { StepScale } from "../../model/scale";
import { columnOfStep, stepAt, stepsOfColumn } from "../../model/timeline";
import type { Resource } from "../../state/resource";
import { MARK_COLORS, type Theme } from "../../theme/colors";
import type { Spectrogram } from "../../wire/spectrogram";
import { useSize } from "../size";

const CURVE_HEIGHT = 56;

interface OverTimeProps {
  spectrogram: Resource<Spectrogram>;
  range: Range | null;
  scale: StepScale;
  selectedStep: number;
  theme: Theme;
  onSelectStep: (step: number) => void;
}

export function OverTime(props: OverTimeProps) {
  const { spectrogram, range, scale, selectedStep, theme, onSelectStep } = props;
  const figure = useRef<HTMLElement>(null);
  const { width } = useSize(figure);
  const loaded = spectrogram.value.value;
  return (
    <figure class="over-time" ref={figure} aria-busy={spectrogram.loading.value}>
      <figcaption>
        Magnitudes over time
        <span>color = % of elements; click to select a step</span>
      </figcaption>
      {loaded && range && width > 0 ? (
        <Charts
          picture={{ spectrogram: loaded, range, width, scale, theme, selectedStep }}
          onSelectStep={onSelectStep}
        />
      ) : (
        <p class="nothing">{spectrogram.error.value ?? "Loading…"}</p>
      )}
    </figure>
  );
}

interface ChartsProps {
  picture: SpectrogramPicture;
  onSelectStep: (step: number) => void;
}

function Charts({ picture, onSelectStep }: ChartsProps) {
  const { spectrogram, theme } = picture;
  const timeline = timelineWithin(picture);
  const onClick = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const step = Math.floor(stepAt(timeline, event.clientX - box.left - SPECTROGRAM_LEFT));
    const column = columnOfStep(timeline, step);
    if (column >= 0) onSelectStep(Math.max(step, stepsOfColumn(timeline, column)[0]));
  };
  const shared = {
    ...{ timeline, theme, left: SPECTROGRAM_LEFT, height: CURVE_HEIGHT },
    width: timeline.width,
    selectedStep: picture.selectedStep,
    flagged: [{ columns: nonfiniteColumns(spectrogram), color: MARK_COLORS.nan.badge }],
  };
  const { norm, largest_magnitude, zero_share, nonfinite } = spectrogram.statistics;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the heatmap's arrow keys move the same step.
    // biome-ignore lint/a11y/noStaticElementInteractions: likewise.
    <div onClick={onClick}>
      <SpectrogramChart picture={picture} />
      <Chart
        label="L2 norm"
        secondLabel="max abs"
        picture={{
          ...shared,
          curves: [
            { values: largest_magnitude, color: theme.negative },
            { values: norm, color: theme.positive },
          ],
          ticks: logTicks,
        }}
      />
      {nonfinite.some((value) => value > 0) && (
        <Chart
          label="NaN/Inf elements"
          picture={{
            ...shared,
            curves: [
              { values: nonfinite.map((value) => Math.log10(1 + value)), color: theme.alarm },
            ],
            ticks: countTicks,
            least: 0,
          }}
        />
      )}
      <Chart
        label="% zeros"
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

function SpectrogramChart({ picture }: { picture: SpectrogramPicture }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (canvas.current) drawSpectrogram(canvas.current, picture);
  });
  return picture.spectrogram.bins > 0 ? (
    <canvas ref={canvas} role="img" aria-label={describe(picture.spectrogram)} />
  ) : (
    <p class="nothing">No histogram recorded in the visible steps.</p>
  );
}

interface ChartProps {
  label: string;
  /** What the first of two curves shows; `label` is of the last one. */
  secondLabel?: string;
  picture: CurvesPicture;
}

function Chart({ label, secondLabel, picture }: ChartProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    if (canvas.current) drawCurves(canvas.current, picture);
  });
  const colors = picture.curves.map(({ color }: Curve) => color);
  return (
    <div class="chart">
      <p>
        <i style={{ background: colors.at(-1) }} /> {label}
        {secondLabel && (
          <>
            <i style={{ background: colors[0] }} /> {secondLabel}
          </>
        )}
      </p>
      <canvas ref={canvas} role="img" aria-label={`${label} over time`} />
    </div>
  );
}

function nonfiniteColumns({ flags }: Spectrogram): Uint8Array {
  return flags.map((flag) => flag & NONFINITE);
}

function describe({ first_exponent, bins, edges }: Spectrogram): string {
  const [low, high] = [first_exponent, first_exponent + bins];
  return `Magnitudes from 2^${low} to 2^${high} over steps ${formatCount(edges[0] ?? 0)} to ${formatCount((edges.at(-1) ?? 1) - 1)}.`;
}
