/** The labels of the lines in view: the lanes' headers and the tensors' names. */

import { type Lane, type Line, type Lines, linesWithin } from "../model/lanes";
import { MARKS } from "../model/marks";
import { shapeText, splitName, visibleName, wholeName } from "../model/names";
import { count } from "../model/numbers";
import { gridCell } from "../model/sentence";
import type { Session } from "../state/session";
import type { Tensor } from "../wire/answers";

/** Pixels of a label that are not its name's: indent, glyph, step. */
const AROUND_NAME = 86;
const CHARACTER = 7;

interface LabelsProps {
  session: Session;
  lines: Lines;
  scrollTop: number;
  height: number;
  width: number;
  hovered: string | undefined;
}

export function Labels({ session, lines, scrollTop, height, width, hovered }: LabelsProps) {
  const selected = session.selection.value?.tensor;
  const longestTail = Math.floor((width - AROUND_NAME) / CHARACTER);
  return (
    <div class={`labels ${lines.rowHeight < 20 ? "dense" : ""}`}>
      {linesWithin(lines, scrollTop, scrollTop + height).map((line) => {
        const box = { top: `${line.top - scrollTop}px`, height: `${line.height}px` };
        return line.kind === "lane" ? (
          <LaneHeader
            key={`lane ${line.lane.role}`}
            session={session}
            line={line}
            box={box}
            width={width}
          />
        ) : (
          <TensorLabel
            key={line.tensor.id}
            session={session}
            tensor={line.tensor}
            box={{ ...box, width: `${width}px` }}
            longestTail={longestTail}
            state={`${line.tensor.id === selected ? "selected" : ""} ${line.tensor.id === hovered ? "hovered" : ""}`}
          />
        );
      })}
    </div>
  );
}

interface LaneHeaderProps {
  session: Session;
  line: Extract<Line, { kind: "lane" }>;
  box: { top: string; height: string };
  width: number;
}

function LaneHeader({ session, line, box, width }: LaneHeaderProps) {
  const { lane, open } = line;
  return (
    <div class={`lane ${open ? "open" : "closed"}`} style={box}>
      <button
        type="button"
        style={{ width: `${width}px` }}
        aria-expanded={open}
        title={lane.description}
        onClick={() => session.toggleRole(lane.role)}
      >
        <span class="twist" aria-hidden="true">
          ▸
        </span>
        <span class="lane-name">{lane.label}</span>
        <LaneCounts lane={lane} />
      </button>
      {open && <span class="lane-description">{lane.description}</span>}
    </div>
  );
}

function LaneCounts({ lane }: { lane: Lane }) {
  return (
    <span class="lane-counts">
      {lane.nonfinite > 0 && <b>{count(lane.nonfinite)} of </b>}
      {count(lane.tensors.length)}
    </span>
  );
}

interface TensorLabelProps {
  session: Session;
  tensor: Tensor;
  box: { top: string; height: string; width: string };
  longestTail: number;
  state: string;
}

function TensorLabel({ session, tensor, box, longestTail, state }: TensorLabelProps) {
  const { head, tail } = splitName(tensor.name, longestTail);
  const worker = tensor.worker ? `\nworker ${wholeName(tensor.worker)}` : "";
  return (
    <div
      class={`tensor-label ${state}`}
      style={box}
      title={`${wholeName(tensor.name)}\n${shapeText(tensor)}${worker}`}
    >
      {tensor.worker && <span class="worker">{visibleName(tensor.worker).slice(0, 12)}</span>}
      <span class="head">{head}</span>
      <span class="tail">{tail}</span>
      <FirstNonfiniteMark session={session} tensor={tensor} />
    </div>
  );
}

/** The glyph and the step at which this tensor first went non-finite. */
function FirstNonfiniteMark({ session, tensor }: { session: Session; tensor: Tensor }) {
  const step = tensor.first_nonfinite_step;
  if (step === null) return null;
  const grid = session.grid.value.value;
  const flags = grid ? (gridCell(grid, tensor.id, step)?.flags ?? 0) : 0;
  const marks = MARKS.filter((mark) => flags & mark.flag);
  const label = marks.map((mark) => mark.label).join(", ") || "non-finite";
  return (
    <span class="first" title={`first ${label} at step ${count(step)}`}>
      {marks.map(({ name }) => (
        <svg
          key={name}
          class={`mark ${name}`}
          width="9"
          height="9"
          viewBox="0 0 9 9"
          aria-hidden="true"
        >
          <path
            d={
              { nan: "M1 1l7 7m0-7l-7 7", pos_inf: "M4.5 .5l4 8h-8z", neg_inf: "M4.5 8.5l4-8h-8z" }[
                name
              ]
            }
          />
        </svg>
      ))}
      {count(step)}
    </span>
  );
}
