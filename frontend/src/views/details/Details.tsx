/** The selected tensor: what is upstream of it, its steps, its histogram and all numbers of the cell. */

import type { ComponentChildren } from "preact";
import { nonfiniteCounts } from "../../model/cell_text";
import type { Selection } from "../../model/cursor";
import { describeDeparture } from "../../model/departure";
import { formatShape, roleName, visibleName, wholeName } from "../../model/names";
import { formatCount, formatCounted, formatNumber, formatSteps } from "../../model/numbers";
import type { Steps } from "../../model/selected_range";
import type { TensorDetail } from "../../state/tensor_detail";
import type { StepViewport } from "../../state/viewport";
import type { Theme } from "../../theme/colors";
import { type CellAnswer, numberFromWire, type Tensor } from "../../wire/answers";
import { isEmbedded } from "../../wire/embedded";
import type { Grid } from "../../wire/grid";
import { Failure, Loading } from "../notices";
import { CellNumbers } from "./CellNumbers";
import { Formats } from "./Formats";
import { Highlights } from "./Highlights";
import { Neighbors } from "./Neighbors";
import { OutlinedHistogram } from "./OutlinedHistogram";
import { OverTime } from "./OverTime";
import { RangeStatistics } from "./RangeStatistics";

export interface DetailActions {
  select(selection: Selection | null): void;
  selectRange(range: Steps | null): void;
  /** Goes to another tensor at the selected step. */
  goToTensor(tensor: string): void;
  reload(): void;
}

/** The selected cell: a tensor, the steps of its column, and the selected one of them. */
export interface SelectedCell {
  tensor: Tensor;
  steps: [number, number];
  step: number;
}

interface DetailsProps {
  run: string;
  /** Names of the compared runs. */
  compared: readonly string[];
  tensors: readonly Tensor[];
  /** The norms of the visible steps. */
  norms: Grid | undefined;
  selected: SelectedCell | undefined;
  selectedRange: Steps | null;
  loaded: TensorDetail;
  viewport: StepViewport;
  theme: Theme;
  actions: DetailActions;
}

export function Details(props: DetailsProps) {
  const { selected, tensors, norms, actions } = props;
  if (!selected) {
    return (
      <aside class="details none" id="details" tabIndex={-1} aria-label="Details">
        <p>Click a cell, or use the arrow keys, to see its histogram and statistics.</p>
        <Highlights norms={norms} tensors={tensors} onSelect={(cell) => actions.select(cell)} />
      </aside>
    );
  }
  return <SelectedDetails {...props} selected={selected} />;
}

function SelectedDetails(props: DetailsProps & { selected: SelectedCell }) {
  const { run, compared, tensors, selected, loaded, actions } = props;
  const { tensor, steps } = selected;
  const close = () => {
    actions.select(null);
    focusHeatmap();
  };
  return (
    <aside
      class="details"
      id="details"
      tabIndex={-1}
      aria-label="Details"
      onKeyDown={(event) => event.key === "Escape" && focusHeatmap()}
    >
      <header>
        <p class="where">
          {compared.length > 0 && `${visibleName(loaded.run.value ?? run)} · `}
          {roleName(tensor.role)} · {formatSteps(...steps)}
        </p>
        <button type="button" class="close" aria-label="Close details" onClick={close}>
          ×
        </button>
        <h2 class="name">
          <BreakableName name={tensor.name} />
        </h2>
        <p class="belongs">{belongsText(tensor)}</p>
      </header>
      {props.selectedRange && (
        <RangeStatistics
          range={props.selectedRange}
          loaded={loaded.range}
          onSelectStep={(step) => actions.select({ tensor: tensor.id, step })}
          onClear={() => actions.selectRange(null)}
        />
      )}
      <Numbers {...props}>
        <Neighbors
          tensor={tensor}
          tensors={tensors}
          onGoTo={(neighbor) => actions.goToTensor(neighbor)}
        />
      </Numbers>
    </aside>
  );
}

/** It breaks after a slash before it breaks anywhere else. */
function BreakableName({ name }: { name: string }) {
  return wholeName(name)
    .split(/(?<=\/)/)
    .map((part, index) => (
      <span key={index}>
        {part}
        <wbr />
      </span>
    ));
}

/** "layer dense · 8 × 16 float32 · on worker1". */
function belongsText(tensor: Tensor): string {
  const parts = [formatShape(tensor)];
  if (tensor.layer) parts.unshift(`layer ${wholeName(tensor.layer)}`);
  if (tensor.worker) parts.push(`on ${visibleName(tensor.worker)}`);
  return parts.join(" · ");
}

interface NumbersProps extends DetailsProps {
  selected: SelectedCell;
  /** The tensors upstream and downstream. */
  children: ComponentChildren;
}

/** For a bad cell first how bad and since when, then where it came from and what it was before. */
function Numbers(props: NumbersProps) {
  const { run, compared, selected, loaded, viewport, theme, actions, children } = props;
  const answer = loaded.cell.value.value;
  const error = loaded.cell.error.value;
  if (error) {
    // A page that has no more than some cells has the tensor's steps all the same.
    if (isEmbedded()) {
      return (
        <>
          {children}
          <p class="nothing">{error}</p>
        </>
      );
    }
    return <Failure what="This cell" message={error} onRetry={() => actions.reload()} />;
  }
  if (!answer) return <Loading text="Loading…" />;
  if (answer.records === 0 || !answer.columns) {
    return (
      <>
        {children}
        <p class="nothing">Nothing recorded for this tensor at {formatSteps(...selected.steps)}.</p>
      </>
    );
  }
  const selectStep = (step: number) => actions.select({ tensor: selected.tensor.id, step });
  return (
    <div class="numbers" aria-busy={loaded.isStale.value}>
      <Trouble answer={answer} tensor={selected.tensor} onSelectStep={selectStep} />
      <CoveredSteps answer={answer} selected={selected.steps} />
      {children}
      <Departure answer={answer} />
      <OutlinedHistogram
        answer={answer}
        columns={answer.columns}
        loaded={loaded}
        runs={[run, ...compared]}
        tensor={selected.tensor}
        step={selected.step}
        onSelectStep={selectStep}
      />
      <OverTime
        spectrogram={loaded.spectrogram}
        range={viewport.range.value}
        scale={viewport.scale.value}
        selectedStep={selected.step}
        theme={theme}
        onSelectStep={selectStep}
      />
      <Formats answer={answer} />
      <details class="all-numbers">
        <summary>All numbers</summary>
        <CellNumbers answer={answer} columns={answer.columns} />
      </details>
    </div>
  );
}

/** "L2 norm 9.6, 12x above its usual level of 0.8". */
function Departure({ answer: { statistics, columns, usual_norm } }: { answer: CellAnswer }) {
  const usual = numberFromWire(usual_norm);
  const norm = numberFromWire(columns?.largest_norm);
  const decades = numberFromWire(statistics?.instability);
  if (!(norm > 0) || Number.isNaN(usual)) return null;
  return (
    <p class="departure">
      L2 norm {formatNumber(norm)}, {describeDeparture(decades, usual)}
    </p>
  );
}

interface TroubleProps {
  answer: CellAnswer;
  tensor: Tensor;
  onSelectStep: (step: number) => void;
}

/** "40 NaN of 1,280 elements", and the exact step at which the tensor first had one. */
function Trouble({ answer, tensor, onSelectStep }: TroubleProps) {
  const counts = answer.columns ? nonfiniteCounts(answer.columns) : [];
  const first = tensor.first_nonfinite_step;
  if (first === null) return null;
  const { first_step, last_step } = answer;
  const isHere =
    first_step !== null && last_step !== null && first_step <= first && first <= last_step;
  return (
    <div class="cell-trouble">
      {counts.length > 0 && (
        <p class="bad-counts">
          {counts.map(({ mark, text }) => (
            <b key={mark}>{text}</b>
          ))}
          {" of "}
          {formatCounted(numberFromWire(answer.columns?.elements), "element")}
        </p>
      )}
      <p>
        {isHere ? (
          <>
            First at <b>step {formatCount(first)}</b>
            {first_step < last_step && `, in the record of ${formatSteps(first_step, last_step)}`}
          </>
        ) : (
          <>
            First NaN or Inf at{" "}
            <button type="button" class="link" onClick={() => onSelectStep(first)}>
              step {formatCount(first)}
            </button>
          </>
        )}
      </p>
    </div>
  );
}

interface CoveredStepsProps {
  answer: CellAnswer;
  selected: [number, number];
}

/** A record may cover more steps than the cell: then the values are of all of them. */
function CoveredSteps({ answer, selected }: CoveredStepsProps) {
  const { first_step, last_step, records } = answer;
  if (first_step === null || last_step === null) return null;
  if (first_step === selected[0] && last_step === selected[1]) return null;
  const windows =
    records === 1 ? "one recording window" : formatCounted(records, "recording window");
  return (
    <p class="covered">
      Values cover {formatSteps(first_step, last_step)} ({windows})
    </p>
  );
}

function focusHeatmap(): void {
  document.querySelector<HTMLElement>(".scroller")?.focus();
}
