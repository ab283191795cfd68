/** The label of one tensor: its pin, its name, and the step of its first NaN or Inf. */

import { gridCell } from "../../model/cells";
import { onlyInText, type RunTensors } from "../../model/comparison";
import type { Line } from "../../model/lanes";
import { type MarkName, marksOf } from "../../model/marks";
import { formatShape, splitName, visibleName, wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import type { ComparedRun } from "../../state/compared_run";
import type { HeatmapGrids } from "../../state/grids";
import type { Rows } from "../../state/rows";
import type { Tensor } from "../../wire/answers";
import type { HeatmapActions } from "./actions";

export const INDENT = 26;
export const GROUP_INDENT = 12;
/** Pixels of a label beside its name: indent, glyph, step. */
const AROUND_NAME = 86;
const CHARACTER_WIDTH = 7;
const LONGEST_WORKER = 12;

interface TensorLabelProps {
  line: Extract<Line, { kind: "tensor" }>;
  box: { top: string; height: string };
  width: number;
  rows: Rows;
  grids: HeatmapGrids;
  /** The run of the row, where it is not the selected one. */
  compared: ComparedRun | undefined;
  /** All shown runs. */
  runs: readonly RunTensors[];
  /** The strip of a compared run, labeled with its name, below that of the selected run. */
  isOfRun?: boolean;
  isSelected: boolean;
  isHovered: boolean;
  actions: HeatmapActions;
}

export function TensorLabel(props: TensorLabelProps) {
  const {
    line,
    box,
    width,
    rows,
    grids,
    compared,
    runs,
    isOfRun = false,
    isSelected,
    isHovered,
    actions,
  } = props;
  const { tensor, label, depth } = line;
  const longestTail = Math.floor((width - AROUND_NAME - depth * GROUP_INDENT) / CHARACTER_WIDTH);
  const { head, tail } = splitName(label, longestTail);
  // The run of the row may lack the tensor.
  const own = (compared ? compared.tensors.value : runs[0]?.tensors)?.get(tensor.id);
  const onlyIn = onlyInText([tensor], runs);
  const isNamedByLane = rows.replicas.value === "separate" && !line.isLane;
  const showsWorker = tensor.worker !== "" && !isNamedByLane;
  return (
    <div
      class={`tensor-label ${line.isLane ? "whole-lane" : ""} ${isSelected ? "selected" : ""} ${isHovered ? "hovered" : ""} ${own ? "" : "lacking"} ${isOfRun ? "of-run" : ""}`}
      style={{ ...box, width: `${width}px`, paddingLeft: `${INDENT + depth * GROUP_INDENT}px` }}
      title={[titleOf(tensor), onlyIn].filter(Boolean).join("\n")}
    >
      {!isOfRun && (
        <Pin
          name={tensor.name}
          isPinned={rows.pinned.value.has(tensor.id)}
          onToggle={() => rows.togglePin(tensor.id)}
        />
      )}
      {showsWorker && (
        <span class="worker">{visibleName(tensor.worker).slice(0, LONGEST_WORKER)}</span>
      )}
      <button
        type="button"
        class="row-name"
        tabIndex={-1}
        onClick={(event) => {
          actions.selectTensor(own ?? tensor, compared);
          focusHeatmap(event);
        }}
      >
        <span class="head">{head}</span>
        <span class="tail">{tail}</span>
      </button>
      {own?.first_nonfinite_step == null && <span class="only-in">{onlyIn}</span>}
      {own && (
        <FirstNonfinite
          grids={grids}
          tensor={own}
          onSelect={(step) => actions.select({ tensor: own.id, step }, compared)}
        />
      )}
    </div>
  );
}

function titleOf(tensor: Tensor): string {
  const worker = tensor.worker ? `\non ${wholeName(tensor.worker)}` : "";
  return `${wholeName(tensor.name)}\n${formatShape(tensor)}${worker}`;
}

interface PinProps {
  name: string;
  isPinned: boolean;
  onToggle: () => void;
}

function Pin({ name, isPinned, onToggle }: PinProps) {
  return (
    <button
      type="button"
      class={`pin ${isPinned ? "pinned" : ""}`}
      tabIndex={-1}
      aria-pressed={isPinned}
      aria-label={`Pin ${wholeName(name)}`}
      title={isPinned ? "Unpin" : "Pin to the top"}
      onClick={onToggle}
    >
      <svg width="10" height="12" viewBox="0 0 10 12" aria-hidden="true">
        <path d="M2.5 1h5M3.3 1v4L1.6 7h6.8L6.7 5V1M5 7v4.5" />
      </svg>
    </button>
  );
}

interface FirstNonfiniteProps {
  grids: HeatmapGrids;
  tensor: Tensor;
  onSelect: (step: number) => void;
}

const GLYPHS: Record<MarkName, string> = {
  nan: "M1 1l7 7m0-7l-7 7",
  pos_inf: "M4.5 .5l4 8h-8z",
  neg_inf: "M4.5 8.5l4-8h-8z",
};

/** Glyphs and step of the tensor's first NaN or Inf; a click selects it. */
function FirstNonfinite({ grids, tensor, onSelect }: FirstNonfiniteProps) {
  const step = tensor.first_nonfinite_step;
  if (step === null) return null;
  const grid = grids.overview.value.value;
  const marks = marksOf(grid ? (gridCell(grid, tensor.id, step)?.flags ?? 0) : 0);
  const label = marks.map((mark) => mark.label).join(", ") || "NaN or Inf";
  return (
    <button
      type="button"
      class="first"
      tabIndex={-1}
      title={`First ${label} at step ${formatCount(step)}`}
      onClick={(event) => {
        onSelect(step);
        focusHeatmap(event);
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
          <path d={GLYPHS[name]} />
        </svg>
      ))}
      {formatCount(step)}
    </button>
  );
}

/** After a click on a label the arrow keys go on from there. */
function focusHeatmap(event: Event): void {
  const label = event.currentTarget as HTMLElement;
  label.closest<HTMLElement>(".scroller")?.focus({ preventScroll: true });
}
