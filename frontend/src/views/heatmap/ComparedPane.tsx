/** A run beside the chosen one: the same rows and steps, its values or what it differs by. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import { drawHeatmap, type HeatmapPicture } from "../../draw/heatmap";
import { lineOfRun } from "../../draw/line_styles";
import { visibleName, wholeName } from "../../model/names";
import type { ComparedRun } from "../../state/compared_run";
import type { Session } from "../../state/session";
import { Palette } from "../Legend";
import { LineSwatch } from "./Curves";
import { RowLabels } from "./RowLabels";

/** Height of the strip with the run's name. */
export const PANE_HEADER_HEIGHT = 30;

interface PaneProps {
  session: Session;
  compared: ComparedRun;
  /** The chosen run's. */
  picture: HeatmapPicture;
  top: number;
  labelWidth: number;
  hovered: string | undefined;
}

export function Pane({ session, compared, picture, top, labelWidth, hovered }: PaneProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { difference } = session;
  const layers = difference.value ? compared.differences.value : compared.grids.layers.value;
  const magnitude = difference.value ? compared.magnitude.value : picture.magnitude;
  const own = useMemo(
    () => magnitude && { ...picture, layers, magnitude },
    [picture, layers, magnitude],
  );
  useLayoutEffect(() => {
    if (canvas.current && own) drawHeatmap(canvas.current, own);
  }, [own]);
  return (
    <>
      <PaneHeader
        top={top - PANE_HEADER_HEIGHT}
        run={compared.run}
        session={session}
        compared={compared}
      />
      <div
        class="plot"
        style={{ top: `${top}px`, height: `${picture.height}px` }}
        aria-busy={compared.grids.loading.value}
      >
        <RowLabels
          session={session}
          lines={picture.lines}
          scrollTop={picture.scrollTop}
          height={picture.height}
          width={labelWidth}
          hovered={hovered}
          beside={compared}
        />
        <canvas class="compared-cells" ref={canvas} style={{ left: `${labelWidth - GUTTER}px` }} />
      </div>
    </>
  );
}

interface PaneHeadProps {
  session: Session;
  top: number;
  run: string;
  chosen?: boolean;
  compared?: ComparedRun;
}

/** The run that the rows below are of, and the scale of differences. */
export function PaneHeader({ session, top, run, chosen, compared }: PaneHeadProps) {
  const magnitude = session.difference.value ? compared?.magnitude.value : undefined;
  const place = 1 + session.compared.value.findIndex((one) => one.run === run);
  const error = compared?.grids.error.value;
  return (
    <p
      class="pane-header"
      style={{ top: `${top}px`, height: `${PANE_HEADER_HEIGHT}px` }}
      title={wholeName(run)}
    >
      <LineSwatch style={lineOfRun(session.theme.value, chosen ? 0 : place)} />
      <b>{visibleName(run)}</b>
      {magnitude && <span>compared to {visibleName(session.run.value ?? "")}</span>}
      {chosen && <span>chosen</span>}
      {error && <span class="wrong">{error}</span>}
      {magnitude && <Palette magnitude={magnitude} theme={session.theme.value} />}
    </p>
  );
}
