/** The labels of the visible lines: headers of lanes and groups, and names of tensors. */

import { onlyInText, type RunTensors } from "../../model/comparison";
import {
  LANE_HEIGHT,
  type Line,
  type Lines,
  linesWithin,
  stickyLane,
  stripBox,
  tensorsOf,
} from "../../model/lanes";
import { visibleName, wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import { firstBad, nameWithin, pathOf } from "../../model/tree";
import type { ComparedRun } from "../../state/compared_run";
import type { HeatmapGrids } from "../../state/grids";
import type { Rows } from "../../state/rows";
import type { Tensor } from "../../wire/answers";
import type { HeatmapActions } from "./actions";
import { GROUP_INDENT, INDENT, TensorLabel } from "./TensorLabel";

/** The chevron is within the indent. */
const CHEVRON = 16;

export interface RowLabelsProps {
  rows: Rows;
  lines: Lines;
  scrollTop: number;
  height: number;
  width: number;
  /** Ids of tensors. */
  selected: string | undefined;
  hovered: string | undefined;
  /** The grids of the run that the lines are of. */
  grids: HeatmapGrids;
  /** That run, where it is not the selected one. */
  compared?: ComparedRun;
  /** All shown runs. */
  runs: readonly RunTensors[];
  /** The runs whose strips are in the lines of this one. */
  together?: readonly ComparedRun[];
  actions: HeatmapActions;
}

export function RowLabels(props: RowLabelsProps) {
  const { lines, scrollTop, height, rows, width } = props;
  const sticky = stickyLane(lines, scrollTop);
  return (
    <div class={`labels ${lines.rowHeight < 20 ? "dense" : ""}`}>
      {linesWithin(lines, scrollTop, scrollTop + height).map((line) => (
        <LineLabel key={keyOf(line)} {...props} line={line} />
      ))}
      {sticky && (
        <LaneHeader
          line={sticky.line}
          box={{ top: `${sticky.top}px`, height: `${LANE_HEIGHT}px` }}
          width={width}
          tensors={tensorsIn(props, sticky.line.lane.tensors)}
          onToggle={() => rows.toggle(sticky.line.lane)}
          isSticky
        />
      )}
    </div>
  );
}

function keyOf(line: Line): string {
  if (line.kind === "tensor") return line.tensor.id;
  return line.kind === "lane" ? `lane ${line.lane.key}` : `group ${line.group.key}`;
}

function LineLabel(props: RowLabelsProps & { line: Line }) {
  const { line, scrollTop, width, rows, compared, selected, hovered } = props;
  const box = { top: `${line.top - scrollTop}px`, height: `${line.height}px` };
  if (line.kind === "lane") {
    return (
      <LaneHeader
        {...{ line, box, width }}
        tensors={tensorsIn(props, line.lane.tensors)}
        onToggle={() => rows.toggle(line.lane)}
      />
    );
  }
  if (line.kind === "group") {
    return (
      <GroupHeader
        {...{ line, box, width, selected }}
        tensors={tensorsIn(props, line.group.tensors)}
        onlyIn={onlyInText(tensorsOf(line), props.runs)}
        onToggle={() => rows.toggle(line.group)}
      />
    );
  }
  const { lines, together = [] } = props;
  const own = { ...{ line, compared }, grids: props.grids };
  const others = together.map((run) => ({
    ...{ line: { ...line, label: lastPart(run.run), depth: line.depth + 1 } },
    ...{ compared: run, grids: run.grids, isOfRun: true },
  }));
  return (
    <>
      {[own, ...others].map((labeled, strip) => (
        <TensorLabel
          key={strip}
          {...{ ...labeled, width, rows, runs: props.runs, actions: props.actions }}
          box={stripStyle(line, lines, strip, scrollTop)}
          isSelected={line.tensor.id === selected}
          isHovered={line.tensor.id === hovered}
        />
      ))}
    </>
  );
}

/** Tensors as the run of the rows has them. */
function tensorsIn({ runs, compared }: RowLabelsProps, tensors: readonly Tensor[]) {
  const own = compared ? compared.tensors.value : runs[0]?.tensors;
  return runs.length > 1 ? tensors.flatMap(({ id }) => own?.get(id) ?? []) : tensors;
}

function stripStyle(line: Line, lines: Lines, strip: number, scrollTop: number) {
  const [top] = stripBox(line, lines, strip);
  return { top: `${top - scrollTop}px`, height: `${lines.rowHeight}px` };
}

function lastPart(run: string): string {
  return run.slice(run.lastIndexOf("/") + 1);
}

interface HeaderProps<Kind extends Line["kind"]> {
  line: Extract<Line, { kind: Kind }>;
  box: { top: string; height: string };
  width: number;
  /** Those of its tensors that the run has. */
  tensors: readonly Tensor[];
  onToggle: () => void;
  /** It stays on top while its lane scrolls by. */
  isSticky?: boolean;
}

function LaneHeader(props: HeaderProps<"lane">) {
  const { line, box, width, tensors, onToggle, isSticky = false } = props;
  const { lane, open } = line;
  return (
    <div class={`lane ${open ? "open" : "closed"} ${isSticky ? "sticky" : ""}`} style={box}>
      <button
        type="button"
        style={{ width: `${width}px` }}
        aria-expanded={open}
        title={lane.description}
        onClick={onToggle}
      >
        <Chevron />
        <span class="lane-name">{lane.label}</span>
        {!open && <FirstBad path="" tensors={tensors} />}
        <Counts tensors={tensors} />
      </button>
      {open && <span class="lane-description">{lane.description}</span>}
    </div>
  );
}

function GroupHeader(
  props: HeaderProps<"group"> & { selected: string | undefined; onlyIn: string },
) {
  const { line, box, width, tensors, selected, onlyIn, onToggle } = props;
  const { group, open } = line;
  const path = pathOf(group);
  const isSelected = tensorsOf(line).some(({ id }) => id === selected);
  return (
    <div
      class={`group ${open ? "open" : "closed"} ${isSelected ? "selected" : ""}`}
      style={{ ...box, width: `${width}px` }}
    >
      <button
        type="button"
        style={{ paddingLeft: `${INDENT - CHEVRON + group.depth * GROUP_INDENT}px` }}
        aria-expanded={open}
        title={wholeName(path)}
        onClick={onToggle}
      >
        <Chevron />
        <span class="group-name">{visibleName(group.label)}</span>
        {!open && <FirstBad path={path} tensors={tensors} />}
        {!open && <span class="only-in">{onlyIn}</span>}
        <Counts tensors={tensors} />
      </button>
    </div>
  );
}

/** Which tensor of a closed group was bad first. */
function FirstBad({ path, tensors }: { path: string; tensors: readonly Tensor[] }) {
  const first = firstBad(tensors);
  return first ? <span class="first-bad">{visibleName(nameWithin(path, first))}</span> : null;
}

function Chevron() {
  return (
    <span class="chevron" aria-hidden="true">
      ▸
    </span>
  );
}

function Counts({ tensors }: { tensors: readonly Tensor[] }) {
  const nonfinite = tensors.filter(({ first_nonfinite_step: step }) => step !== null).length;
  return (
    <span
      class="lane-counts"
      title={nonfinite > 0 ? `${formatCount(nonfinite)} with NaN or Inf` : undefined}
    >
      {nonfinite > 0 && <b>{formatCount(nonfinite)} of </b>}
      {formatCount(tensors.length)}
    </span>
  );
}
