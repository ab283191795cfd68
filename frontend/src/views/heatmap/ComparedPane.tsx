/** A compared run: the same rows and steps, with its values or their difference. */

import { useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import type { HeatmapPicture } from "../../draw/heatmap";
import { lineOfRun } from "../../draw/line_styles";
import { onlyInText } from "../../model/comparison";
import type { Origin } from "../../model/findings";
import type { Magnitude } from "../../model/magnitude";
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
  selectedRun: string;
  showDifference: boolean;
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
  const { compared, index, selectedRun, showDifference, picture, top, labels } = props;
  const { origin, onJump } = props;
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
            ...{ ...picture, layers, magnitude, firstSteps },
            origin: ownOrigin ? picture.origin : null,
          }
        : null,
    [picture, layers, magnitude, firstSteps, ownOrigin],
  );
  usePaintedCells(canvas, own);
  return (
    <>
      <PaneHeader
        top={top - PANE_HEADER_HEIGHT - (origin ? ORIGIN_HEIGHT : 0)}
        run={compared.run}
        index={index}
        theme={picture.theme}
        difference={difference && { magnitude: difference, base: selectedRun }}
        error={compared.grids.error.value}
      />
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
        <canvas
          class="compared-cells"
          ref={canvas}
          style={{ left: `${labels.width - GUTTER}px` }}
        />
      </div>
    </>
  );
}

interface PaneHeaderProps {
  top: number;
  run: string;
  /** Its place among all shown runs; the selected one is 0. */
  index: number;
  theme: Theme;
  /** The scale of the differences, and the run that they are relative to. */
  difference?: { magnitude: Magnitude; base: string } | undefined;
  error?: string | undefined;
}

/** The run that the rows below are of. */
export function PaneHeader({ top, run, index, theme, difference, error }: PaneHeaderProps) {
  return (
    <p
      class="pane-header"
      style={{ top: `${top}px`, height: `${PANE_HEADER_HEIGHT}px` }}
      title={wholeName(run)}
    >
      <LineSwatch style={lineOfRun(theme, index)} />
      <b>{visibleName(run)}</b>
      {index === 0 && <span>selected run</span>}
      {difference && <span>relative to {visibleName(difference.base)}</span>}
      {error && <span class="wrong">{error}</span>}
      {difference && <Palette magnitude={difference.magnitude} theme={theme} />}
    </p>
  );
}
