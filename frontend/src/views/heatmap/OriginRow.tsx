/** The row of the tensor in which it began: above the rows that scroll, always in view. */

import { useMemo, useRef } from "preact/hooks";
import { GUTTER } from "../../draw/canvas";
import type { HeatmapPicture } from "../../draw/heatmap";
import type { Origin } from "../../model/findings";
import { roleName, tensorTitle, visibleName, wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import { SeverityIcon } from "../icons";
import { ORIGIN_HEIGHT } from "./layout";
import { usePaintedCells } from "./painting";

interface OriginRowProps {
  origin: Origin;
  /** The picture of the run, whose cells of the tensor are drawn. */
  picture: HeatmapPicture;
  top: number;
  labelWidth: number;
  /** The run is bad there, too. */
  isBad?: boolean;
  /** The runs that have the tensor, where not all of them do. */
  onlyIn?: string;
  /** Jumps to the origin. */
  onJump: () => void;
}

export function OriginRow(props: OriginRowProps) {
  const { origin, picture, top, labelWidth, isBad = true, onlyIn, onJump } = props;
  const { tensor, step, severity } = origin;
  const canvas = useRef<HTMLCanvasElement>(null);
  const own = useMemo((): HeatmapPicture => {
    const row = {
      kind: "tensor",
      top: 3,
      height: ORIGIN_HEIGHT - 6,
      tensor,
      label: "",
      depth: 0,
    } as const;
    const lines = { lines: [row], height: ORIGIN_HEIGHT, rowHeight: row.height + 1, strips: 1 };
    return { ...picture, lines, strip: 0, scrollTop: 0, height: ORIGIN_HEIGHT };
  }, [picture, tensor]);
  usePaintedCells(canvas, own);
  return (
    <div class={`origin-row ${severity}`} style={{ top: `${top}px`, height: `${ORIGIN_HEIGHT}px` }}>
      <button
        type="button"
        style={{ width: `${labelWidth}px` }}
        title={`Where it began: ${tensorTitle(tensor)} at step ${formatCount(step)}\n${wholeName(tensor.name)}`}
        onClick={onJump}
      >
        {isBad ? <SeverityIcon severity={severity} size={14} /> : <span class="no-icon" />}
        <span class="origin-name">
          {visibleName(endOf(tensor.name))}
          {roleName(tensor.role) !== tensor.name && <i>{roleName(tensor.role)}</i>}
        </span>
        {isBad && (
          <span class="origin-step">
            <span class="unseen">began at step </span>
            {formatCount(step)}
          </span>
        )}
        {onlyIn && <span class="only-in">{onlyIn}</span>}
      </button>
      <canvas class="origin-cells" ref={canvas} style={{ left: `${labelWidth - GUTTER}px` }} />
    </div>
  );
}

/** The end of a path tells more than its beginning. */
function endOf(name: string): string {
  return name.split("/").slice(-2).join("/");
}
