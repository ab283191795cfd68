/** A compared run: the same rows and steps, with its values or their difference. */

import { useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import type { HeatmapPicture } from "../../draw/heatmap";
import { lineOfRun } from "../../draw/line_styles";
import type { Magnitude } from "../../model/magnitude";
import { visibleName, wholeName } from "../../model/names";
import type { ComparedRun } from "../../state/compared_run";
import type { Theme } from "../../theme/colors";
import { Palette } from "../Legend";
import { LineSwatch } from "./LineSwatch";
import { PANE_HEADER_HEIGHT } from "./layout";
import { usePaintedCells } from "./painting";
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
}

export function ComparedPane(props: ComparedPaneProps) {
  const { compared, index, selectedRun, showDifference, picture, top, labels } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const layers = showDifference ? compared.differences.value : compared.grids.layers.value;
  const difference = showDifference ? compared.differenceMagnitude.value : undefined;
  const magnitude = showDifference ? difference : picture.magnitude;
  const own = useMemo(
    () => (magnitude ? { ...picture, layers, magnitude } : null),
    [picture, layers, magnitude],
  );
  usePaintedCells(canvas, own);
  return (
    <>
      <PaneHeader
        top={top - PANE_HEADER_HEIGHT}
        run={compared.run}
        index={index}
        theme={picture.theme}
        difference={difference && { magnitude: difference, base: selectedRun }}
        error={compared.grids.error.value}
      />
      <div
        class="plot"
        style={{ top: `${top}px`, height: `${picture.height}px` }}
        aria-busy={compared.grids.loading.value}
      >
        <RowLabels {...labels} height={picture.height} grids={compared.grids} compared={compared} />
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
