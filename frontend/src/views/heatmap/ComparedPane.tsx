/** A compared run: the same rows and steps, with its values or their difference. */

import type { ComponentChildren } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import type { HeatmapPicture } from "../../draw/heatmap";
import { lineOfRun } from "../../draw/line_styles";
import { onlyInText } from "../../model/comparison";
import type { Origin } from "../../model/findings";
import { visibleName, wholeName } from "../../model/names";
import type { ComparedRun } from "../../state/compared_run";
import type { Theme } from "../../theme/colors";
import { Palette } from "../Legend";
import { LineSwatch } from "./LineSwatch";
import { ORIGIN_HEIGHT, PANE_HEADER_HEIGHT } from "./layout";
import { OriginRow } from "./OriginRow";
import { useFirstSteps, usePaintedCells } from "./painting";
import { RowLabels, type RowLabelsProps } from "./RowLabels";

interface ComparedPaneProps {
  compared: ComparedRun;
  /** Its place among all shown runs; the selected one is 0. */
  index: number;
  showDifference: boolean;
  /** Its cells are strips below those of the selected run, in the same lines. */
  isTogether: boolean;
  /** The picture of the selected run. */
  picture: HeatmapPicture;
  top: number;
  /** The labels of the selected run's rows. */
  labels: Omit<RowLabelsProps, "grids">;
  /** The origin of the selected run; its row is pinned here, too. */
  origin: Origin | null;
  onJump: () => void;
}

export function ComparedPane(props: ComparedPaneProps) {
  const { compared, index, showDifference, picture, top, labels } = props;
  const { origin, isTogether, onJump } = props;
  const strip = isTogether ? index : 0;
  const canvas = useRef<HTMLCanvasElement>(null);
  const tensors = compared.tensors.value;
  const layers = showDifference ? compared.differences.value : compared.grids.layers.value;
  const difference = showDifference ? compared.differenceMagnitude.value : undefined;
  const magnitude = showDifference ? difference : picture.magnitude;
  const firstSteps = useFirstSteps(useMemo(() => [...tensors.values()], [tensors]));
  const ownOrigin = origin && tensors.get(origin.tensor.id);
  const own = useMemo(
    () =>
      magnitude
        ? {
            ...{ ...picture, layers, magnitude, firstSteps, strip },
            origin: ownOrigin ? picture.origin : null,
          }
        : null,
    [picture, layers, magnitude, firstSteps, ownOrigin, strip],
  );
  usePaintedCells(canvas, own);
  const left = `${labels.width - GUTTER}px`;
  if (isTogether) {
    return (
      <canvas class="compared-cells together" ref={canvas} style={{ left, top: `${top}px` }} />
    );
  }
  return (
    <>
      <PaneHeader top={top - PANE_HEADER_HEIGHT - (origin ? ORIGIN_HEIGHT : 0)}>
        <ComparedName {...{ compared, index, showDifference, theme: picture.theme }} />
      </PaneHeader>
      {origin && own && (
        <OriginRow
          origin={origin}
          picture={own}
          top={top - ORIGIN_HEIGHT}
          labelWidth={labels.width}
          isBad={ownOrigin?.first_nonfinite_step != null}
          onlyIn={onlyInText([origin.tensor], labels.runs)}
          onJump={onJump}
        />
      )}
      <div
        class="plot"
        style={{ top: `${top}px`, height: `${picture.height}px` }}
        aria-busy={compared.grids.loading.value}
      >
        <RowLabels {...{ ...labels, compared, grids: compared.grids, height: picture.height }} />
        <canvas class="compared-cells" ref={canvas} style={{ left }} />
      </div>
    </>
  );
}

interface PaneHeaderProps {
  top: number;
  children: ComponentChildren;
}

/** Above rows, what runs they are of. */
export function PaneHeader({ top, children }: PaneHeaderProps) {
  return (
    <p class="pane-header" style={{ top: `${top}px`, height: `${PANE_HEADER_HEIGHT}px` }}>
      {children}
    </p>
  );
}

interface RunNameProps {
  run: string;
  /** Its place among all shown runs; the selected one is 0. */
  index: number;
  theme: Theme;
}

export function RunName({ run, index, theme }: RunNameProps) {
  return (
    <>
      <LineSwatch style={lineOfRun(theme, index)} />
      <b title={wholeName(run)}>{visibleName(run)}</b>
      {index === 0 && <span>selected run</span>}
    </>
  );
}

interface ComparedNameProps extends Omit<RunNameProps, "run"> {
  compared: ComparedRun;
  showDifference: boolean;
}

/** The name of a compared run, and the scale of its differences where those are shown. */
export function ComparedName({ compared, index, showDifference, theme }: ComparedNameProps) {
  const difference = showDifference && compared.differenceMagnitude.value;
  const error = compared.grids.error.value;
  return (
    <>
      <RunName {...{ run: compared.run, index, theme }} />
      {difference && <span>relative to {visibleName(compared.base.run.value ?? "")}</span>}
      {error && <span class="wrong">{error}</span>}
      {difference && <Palette magnitude={difference} theme={theme} />}
    </>
  );
}
