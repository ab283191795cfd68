/** The selected tensor over the selected steps. */

import { formatCount, formatSteps } from "../../model/numbers";
import { rangeTexts, type Steps } from "../../model/selected_range";
import type { Resource } from "../../state/resource";
import type { CellAnswer } from "../../wire/answers";

interface RangeStatisticsProps {
  range: Steps;
  loaded: Resource<CellAnswer>;
  onSelectStep: (step: number) => void;
  onClear: () => void;
}

export function RangeStatistics({ range, loaded, onSelectStep, onClear }: RangeStatisticsProps) {
  const answer = loaded.value.value;
  const error = loaded.error.value;
  return (
    <section class="cell-numbers range-statistics" aria-busy={loaded.loading.value}>
      <h3>Selected {formatSteps(...range)}</h3>
      <button type="button" class="close" aria-label="Clear the selected steps" onClick={onClear}>
        ×
      </button>
      {error && <p class="wrong">{error}</p>}
      {answer?.records === 0 && <p class="nothing">Nothing recorded in these steps.</p>}
      <dl>
        {answer &&
          rangeTexts(answer).map(({ label, text, step }) => (
            <div key={label} class={step === null ? "cell-number" : "cell-number alarming"}>
              <dt>{label}</dt>
              <dd>
                {text}
                {step !== null && (
                  <>
                    , first at{" "}
                    <button type="button" class="link" onClick={() => onSelectStep(step)}>
                      step {formatCount(step)}
                    </button>
                  </>
                )}
              </dd>
            </div>
          ))}
      </dl>
    </section>
  );
}
