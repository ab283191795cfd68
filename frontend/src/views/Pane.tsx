/** A run beside the chosen one: the same rows and steps, its values or what it differs by. */

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../draw/canvas";
import { drawHeatmap, type HeatmapPicture } from "../draw/heatmap";
import { lineOfRun } from "../draw/lines";
import { visibleName, wholeName } from "../model/names";
import type { Compared } from "../state/compared";
import type { Session } from "../state/session";
import { LineSign } from "./Curves";
import { Labels } from "./Labels";
import { Palette } from "./Legend";

/** Height of the strip with the run's name. */
export const PANE_HEAD = 30;

interface PaneProps {
  session: Session;
  compared: Compared;
  /** The chosen run's. */
  picture: HeatmapPicture;
  top: number;
  labelWidth: number;
  hovered: string | undefined;
}

export function Pane({ session, compared, picture, top, labelWidth, hovered }: PaneProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { difference } = session;
  const layers = difference.value ? compared.differences.value : compared.picture.layers.value;
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
      <PaneHead top={top - PANE_HEAD} run={compared.run} session={session} compared={compared} />
      <div
        class="plot"
        style={{ top: `${top}px`, height: `${picture.height}px` }}
        aria-busy={compared.picture.loading.value}
      >
        <Labels
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
  compared?: Compared;
}

/** The run that the rows below are of, and the scale of differences. */
export function PaneHead({ session, top, run, chosen, compared }: PaneHeadProps) {
  const magnitude = session.difference.value ? compared?.magnitude.value : undefined;
  const place = 1 + session.compared.value.findIndex((one) => one.run === run);
  const error = compared?.picture.error.value;
  return (
    <p
      class="pane-head"
      style={{ top: `${top}px`, height: `${PANE_HEAD}px` }}
      title={wholeName(run)}
    >
      <LineSign style={lineOfRun(session.theme.value, chosen ? 0 : place)} />
      <b>{visibleName(run)}</b>
      {magnitude && <span>compared to {visibleName(session.run.value ?? "")}</span>}
      {chosen && <span>chosen</span>}
      {error && <span class="wrong">{error}</span>}
      {magnitude && <Palette magnitude={magnitude} theme={session.theme.value} />}
    </p>
  );
}
