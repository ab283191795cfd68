/** The runs beside the chosen one: where they part, in words, and what of them is shown. */

import {
  comparisonLimits,
  partingPlace,
  partingReason,
  partingWords,
  TOLERANCES,
} from "../model/comparison";
import { visibleName, wholeName } from "../model/names";
import type { ComparedRun } from "../state/compared_run";
import type { Session } from "../state/session";

export function Comparison({ session }: { session: Session }) {
  const compared = session.compared.value;
  if (compared.length === 0) return null;
  return (
    <section class="comparison" aria-label="Comparison">
      <ul>
        {compared.map((one) => (
          <Parting key={one.run} session={session} compared={one} />
        ))}
      </ul>
      <div class="comparison-choices">
        <fieldset class="statistics">
          <legend>Beside it</legend>
          {[
            { difference: false, label: "Values", title: "What each run recorded" },
            {
              difference: true,
              label: "Difference",
              title: "How much larger or smaller than in the chosen run",
            },
          ].map(({ difference, label, title }) => (
            <label key={label} title={title}>
              <input
                type="radio"
                name="beside"
                checked={session.difference.value === difference}
                onChange={() => {
                  session.difference.value = difference;
                }}
              />
              <span>{label}</span>
            </label>
          ))}
        </fieldset>
        <label>
          Norms part by more than{" "}
          <select
            value={String(session.tolerance.value)}
            onChange={(event) => {
              session.tolerance.value = Number(event.currentTarget.value);
            }}
          >
            {TOLERANCES.map(({ value, label }) => (
              <option key={value} value={String(value)}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
    </section>
  );
}

function Parting({ session, compared }: { session: Session; compared: ComparedRun }) {
  const answer = compared.comparison.value.value;
  const error = compared.comparison.error.value ?? compared.detail.error.value;
  const parting = answer?.parting;
  const name = visibleName(compared.run);
  return (
    <li aria-busy={compared.comparison.loading.value}>
      <p>
        <b>With {name}: </b>
        {error ? <span class="wrong">{error}</span> : answer ? partingWords(answer) : "comparing…"}
        {answer && parting && !error && (
          <>
            , first on {partingPlace(parting)} <code>{wholeName(parting.tensor)}</code>:{" "}
            {partingReason(answer, parting)}.
          </>
        )}{" "}
        {answer && !error && <span class="aside">{comparisonLimits(answer).join(" ")}</span>}
      </p>
      {parting && !error && (
        <button type="button" onClick={() => session.showParting(compared)}>
          Show it
        </button>
      )}
      <button
        type="button"
        class="close"
        aria-label={`No longer compare with ${name}`}
        title="No longer compare"
        onClick={() => session.toggleCompared(compared.run)}
      >
        ×
      </button>
    </li>
  );
}
