/** The histogram of the cell, with that of an earlier step or of a compared run as an outline. */

import { visibleName } from "../../model/names";
import { nearestHistogram } from "../../model/nearest_histogram";
import { formatSteps } from "../../model/numbers";
import type { TensorDetail } from "../../state/tensor_detail";
import type { CellAnswer, Tensor } from "../../wire/answers";
import { Histogram } from "./Histogram";

interface OutlinedHistogramProps {
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
  loaded: TensorDetail;
  /** The selected run and the compared ones. */
  runs: readonly string[];
  tensor: Tensor;
  /** The selected step. */
  step: number;
  onSelectStep: (step: number) => void;
}

export function OutlinedHistogram(props: OutlinedHistogramProps) {
  const { answer, columns, loaded, runs, tensor, step, onSelectStep } = props;
  const others = runs.filter((run) => run !== loaded.run.value);
  const outlineRun = others.find((run) => run === loaded.outlineRun.value);
  const outline = (outlineRun === undefined ? loaded.reference : loaded.otherRun).value.value;
  const spectrogram = loaded.spectrogram.value.value;
  const text = outlineText(outline, outlineRun === undefined ? tensor : undefined, step);
  return (
    <Histogram
      answer={answer}
      outline={outline}
      columns={columns}
      nearest={spectrogram && nearestHistogram(spectrogram, step)}
      onSelectStep={onSelectStep}
    >
      {others.length > 0 ? (
        <label>
          {" "}
          Outline:{" "}
          <select
            value={outlineRun ?? ""}
            onChange={(event) => {
              loaded.outlineRun.value = event.currentTarget.value || null;
            }}
          >
            <option value="">an earlier step</option>
            {others.map((run) => (
              <option key={run} value={run}>
                {visibleName(run)}
              </option>
            ))}
          </select>{" "}
          {text}
        </label>
      ) : (
        text && <> Outline: {text}</>
      )}
    </Histogram>
  );
}

/** "step 36, the last good one"; an outline of the tensor's own run also has the reason for that step. */
function outlineText(
  outline: CellAnswer | undefined,
  own: Tensor | undefined,
  step: number,
): string {
  if (!outline || outline.first_step === null || outline.last_step === null) return "";
  const steps = formatSteps(outline.first_step, outline.last_step);
  if (!own) return steps;
  const nonfinite = own.first_nonfinite_step;
  if (nonfinite === null || step < nonfinite) return `${steps}, the first recorded`;
  return outline.first_step === outline.last_step
    ? `${steps}, the last good one`
    : `${steps}, the last good window`;
}
