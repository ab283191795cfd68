/** Where the compared runs diverge from the selected one, and what of them is shown. */

import type { Signal } from "@preact/signals";
import { comparisonLimits, differenceText, divergenceText, TOLERANCES } from "../model/comparison";
import { placeTitle } from "../model/findings";
import { visibleName } from "../model/names";
import type { ComparedRun } from "../state/compared_run";
import type { FirstDifference } from "../wire/answers";
import { Choice } from "./Choice";

const SHOWN = [
  { value: "values", label: "values" },
  { value: "difference", label: "difference" },
] as const;

const ARRANGEMENTS = [
  { value: "runs", label: "by run" },
  { value: "rows", label: "by row" },
] as const;

interface ComparisonProps {
  compared: readonly ComparedRun[];
  showDifference: Signal<boolean>;
  isTogether: Signal<boolean>;
  tolerance: Signal<number>;
  onGoTo: (difference: FirstDifference) => void;
  onRemove: (run: string) => void;
}

export function Comparison({
  compared,
  showDifference,
  isTogether,
  tolerance,
  onGoTo,
  onRemove,
}: ComparisonProps) {
  if (compared.length === 0) return null;
  return (
    <section class="comparison" aria-label="Comparison">
      <ul>
        {compared.map((one) => (
          <Divergence
            key={one.run}
            compared={one}
            onGoTo={onGoTo}
            onRemove={() => onRemove(one.run)}
          />
        ))}
      </ul>
      <div class="comparison-choices">
        <Choice
          label="Show"
          name="shown"
          title="The values of each run, or those relative to the selected run"
          value={showDifference.value ? "difference" : "values"}
          options={SHOWN}
          onChoose={(name) => {
            showDifference.value = name === "difference";
          }}
        />
        <Choice
          label="Arrange"
          name="arrange"
          title="Each run as a whole, or row by row"
          value={isTogether.value ? "rows" : "runs"}
          options={ARRANGEMENTS}
          onChoose={(name) => {
            isTogether.value = name === "rows";
          }}
        />
        <Choice
          label="diverged at"
          name="tolerance"
          title="Runs count as diverged when norms differ by more than this"
          value={String(tolerance.value)}
          options={TOLERANCES.map(({ value, label }) => ({ value: String(value), label }))}
          onChoose={(value) => {
            tolerance.value = Number(value);
          }}
        />
      </div>
    </section>
  );
}

interface DivergenceProps {
  compared: ComparedRun;
  onGoTo: (difference: FirstDifference) => void;
  onRemove: () => void;
}

function Divergence({ compared, onGoTo, onRemove }: DivergenceProps) {
  const answer = compared.comparison.value.value;
  const error = compared.comparison.error.value ?? compared.detail.error.value;
  const difference = error ? null : answer?.first_difference;
  const name = visibleName(compared.run);
  return (
    <li aria-busy={compared.comparison.loading.value}>
      <p>
        <b>{name}</b>{" "}
        {error ? (
          <span class="wrong">{error}</span>
        ) : answer ? (
          divergenceText(answer)
        ) : (
          "is being compared…"
        )}
        {answer && difference && (
          <>
            , first in <code>{placeTitle(difference)}</code> ({differenceText(answer, difference)})
          </>
        )}
        {answer && !error && ". "}
        {answer && !error && <span class="aside">{comparisonLimits(answer).join(" ")}</span>}
      </p>
      {difference && (
        <button type="button" onClick={() => onGoTo(difference)}>
          Jump to it
        </button>
      )}
      <button
        type="button"
        class="close"
        aria-label={`Stop comparing with ${name}`}
        title="Stop comparing"
        onClick={onRemove}
      >
        ×
      </button>
    </li>
  );
}
