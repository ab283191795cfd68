/** The labels of the lines in view: the lanes' and the groups' headers, and the tensors' names. */

import { gridCell } from "../../model/cells";
import { type Lane, type Line, type Lines, linesWithin } from "../../model/lanes";
import { MARKS } from "../../model/marks";
import { formatShape, splitName, visibleName, wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import type { Group } from "../../model/tree";
import type { ComparedRun } from "../../state/compared_run";
import type { HeatmapGrids } from "../../state/grids";
import type { Session } from "../../state/session";
import type { Tensor } from "../../wire/answers";

/** Pixels of a label that are not its name's: indent, glyph, step. */
const AROUND_NAME = 86;
const CHARACTER = 7;
const INDENT = 26;
const INDENT_GROUP = 12;

interface LabelsProps {
  session: Session;
  lines: Lines;
  scrollTop: number;
  height: number;
  width: number;
  hovered: string | undefined;
  /** The run that the lines are of, where it is not the chosen one. */
  beside?: ComparedRun | undefined;
}

export function RowLabels({
  session,
  lines,
  scrollTop,
  height,
  width,
  hovered,
  beside,
}: LabelsProps) {
  const selected = session.selection.value?.tensor;
  return (
    <div class={`labels ${lines.rowHeight < 20 ? "dense" : ""}`}>
      {linesWithin(lines, scrollTop, scrollTop + height).map((line) => {
        const box = { top: `${line.top - scrollTop}px`, height: `${line.height}px` };
        if (line.kind === "tensor") {
          const state = `${line.tensor.id === selected ? "selected" : ""} ${line.tensor.id === hovered ? "hovered" : ""}`;
          return (
            <TensorLabel
              key={line.tensor.id}
              session={session}
              line={line}
              beside={beside}
              box={{ ...box, width: `${width}px` }}
              longestTail={Math.floor(
                (width - AROUND_NAME - line.depth * INDENT_GROUP) / CHARACTER,
              )}
              state={state}
            />
          );
        }
        return line.kind === "lane" ? (
          <LaneHeader
            key={`lane ${line.lane.key}`}
            session={session}
            line={line}
            box={box}
            width={width}
            isBeside={beside !== undefined}
          />
        ) : (
          <GroupHeader
            key={`group ${line.group.key}`}
            session={session}
            line={line}
            box={{ ...box, width: `${width}px` }}
            isBeside={beside !== undefined}
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
  /** The counts of trouble are of the chosen run. */
  isBeside: boolean;
}

function LaneHeader({ session, line, box, width, isBeside }: LaneHeaderProps) {
  const { lane, open } = line;
  return (
    <div class={`lane ${open ? "open" : "closed"}`} style={box}>
      <button
        type="button"
        style={{ width: `${width}px` }}
        aria-expanded={open}
        title={lane.description}
        onClick={() => session.rows.toggle(lane)}
      >
        <Chevron />
        <span class="lane-name">{lane.label}</span>
        <Counts tensors={lane.tensors} nonfinite={isBeside ? 0 : lane.nonfinite} />
      </button>
      {open && <span class="lane-description">{lane.description}</span>}
    </div>
  );
}

function Chevron() {
  return (
    <span class="chevron" aria-hidden="true">
      ▸
    </span>
  );
}

function Counts({ tensors, nonfinite }: Pick<Lane, "tensors" | "nonfinite">) {
  return (
    <span class="lane-counts">
      {nonfinite > 0 && <b>{formatCount(nonfinite)} of </b>}
      {formatCount(tensors.length)}
    </span>
  );
}

interface GroupHeaderProps {
  session: Session;
  line: Extract<Line, { kind: "group" }>;
  box: { top: string; height: string; width: string };
  isBeside: boolean;
}

function GroupHeader({ session, line, box, isBeside }: GroupHeaderProps) {
  const { group, open } = line;
  return (
    <div class={`group ${open ? "open" : "closed"}`} style={box}>
      <button
        type="button"
        style={{ paddingLeft: `${INDENT - 16 + group.depth * INDENT_GROUP}px` }}
        aria-expanded={open}
        title={wholeName(group.key.slice(group.key.indexOf(":") + 1))}
        onClick={() => session.rows.toggle(group)}
      >
        <Chevron />
        <span class="group-name">{visibleName(group.label)}</span>
        <Counts tensors={group.tensors} nonfinite={isBeside ? 0 : nonfiniteOf(group)} />
      </button>
    </div>
  );
}

function nonfiniteOf({ tensors }: Group): number {
  return tensors.filter(({ first_nonfinite_step }) => first_nonfinite_step !== null).length;
}

interface TensorLabelProps {
  session: Session;
  line: Extract<Line, { kind: "tensor" }>;
  box: { top: string; height: string; width: string };
  beside: ComparedRun | undefined;
  longestTail: number;
  state: string;
}

function TensorLabel({ session, line, beside, box, longestTail, state }: TensorLabelProps) {
  const { tensor, label, depth } = line;
  const { head, tail } = splitName(label, longestTail);
  const worker = tensor.worker ? `\nworker ${wholeName(tensor.worker)}` : "";
  const pinned = session.rows.pinned.value.has(tensor.id);
  const own = beside ? beside.tensors.value.get(tensor.id) : tensor;
  return (
    <div
      class={`tensor-label ${state}`}
      style={{ ...box, paddingLeft: `${INDENT + depth * INDENT_GROUP}px` }}
      title={`${wholeName(tensor.name)}\n${formatShape(tensor)}${worker}`}
    >
      <button
        type="button"
        class={`pin ${pinned ? "pinned" : ""}`}
        tabIndex={-1}
        aria-pressed={pinned}
        aria-label={`Pin ${wholeName(tensor.name)}`}
        title={pinned ? "Let it go" : "Pin on top"}
        onClick={() => session.rows.togglePin(tensor.id)}
      >
        <svg width="10" height="12" viewBox="0 0 10 12" aria-hidden="true">
          <path d="M2.5 1h5M3.3 1v4L1.6 7h6.8L6.7 5V1M5 7v4.5" />
        </svg>
      </button>
      {tensor.worker && session.rows.replicas.value !== "lanes" && (
        <span class="worker">{visibleName(tensor.worker).slice(0, 12)}</span>
      )}
      <button
        type="button"
        class="row-name"
        tabIndex={-1}
        onClick={(event) => {
          session.selectTensor(own ?? tensor, beside);
          takeKeys(event);
        }}
      >
        <span class="head">{head}</span>
        <span class="tail">{tail}</span>
      </button>
      {own && (
        <FirstNonfiniteMark
          picture={beside?.grids ?? session.grids}
          tensor={own}
          onChoose={(step) => session.select({ tensor: own.id, step }, beside)}
        />
      )}
    </div>
  );
}

/** After a click on a label: the arrow keys go on from there. */
function takeKeys(event: Event): void {
  const label = event.currentTarget as HTMLElement;
  label.closest<HTMLElement>(".scroller")?.focus({ preventScroll: true });
}

interface FirstNonfiniteMarkProps {
  picture: HeatmapGrids;
  tensor: Tensor;
  onChoose: (step: number) => void;
}

/** The glyph and the step at which this tensor first went non-finite; a click goes there. */
function FirstNonfiniteMark({ picture, tensor, onChoose }: FirstNonfiniteMarkProps) {
  const step = tensor.first_nonfinite_step;
  if (step === null) return null;
  const grid = picture.overview.value.value;
  const flags = grid ? (gridCell(grid, tensor.id, step)?.flags ?? 0) : 0;
  const marks = MARKS.filter((mark) => flags & mark.flag);
  const label = marks.map((mark) => mark.label).join(", ") || "non-finite";
  return (
    <button
      type="button"
      class="first"
      tabIndex={-1}
      title={`first ${label} at step ${formatCount(step)}`}
      onClick={(event) => {
        onChoose(step);
        takeKeys(event);
      }}
    >
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
      {formatCount(step)}
    </button>
  );
}
