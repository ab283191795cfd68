/** Why a finding is known, how to fix it, and where the NaN or Inf spread. */

import { placeTitle, recordAlsoCode, recordAlsoText, shortTitle } from "../../model/findings";
import { visibleName } from "../../model/names";
import { formatCount, formatCounted } from "../../model/numbers";
import type { AffectedPlace, Finding, Trial } from "../../wire/answers";
import { CodeBlock } from "../CodeBlock";
import { FailedOperation } from "./FailedOperation";
import { MarkedText } from "./MarkedText";

interface ExplanationProps {
  finding: Finding;
  onGoTo: (place: AffectedPlace) => void;
}

export function Explanation({ finding, onGoTo }: ExplanationProps) {
  const { message, advice, fix_code, help, affected, tried = [], record_also = [] } = finding;
  return (
    <div class={`explained ${finding.origin.operation ? "with-operation" : ""}`}>
      <div>
        <h2>Why</h2>
        <p class="prose">
          <MarkedText text={message} />
        </p>
      </div>
      <div class="fix">
        <h2>Fix</h2>
        <p class="prose">
          <MarkedText text={advice} />
        </p>
        {fix_code && <CodeBlock code={fix_code} />}
        <Trials trials={tried} />
        {record_also.length > 0 && (
          <>
            <p class="record-also">{recordAlsoText(record_also)}</p>
            <CodeBlock code={recordAlsoCode(record_also)} />
          </>
        )}
        {help && <p class="help-page">More: docs/{visibleName(help)}</p>}
      </div>
      <FailedOperation origin={finding.origin} rerun={finding.rerun} />
      {affected.length > 0 && (
        <div>
          <h2>Spread</h2>
          <SpreadPath
            origin={{ ...finding.origin, step: finding.step }}
            {...{ affected, onGoTo }}
          />
          <AffectedPlaces places={affected} onGoTo={onGoTo} />
        </div>
      )}
    </div>
  );
}

function Trials({ trials }: { trials: readonly Trial[] }) {
  if (trials.length === 0) return null;
  return (
    <ul class="trials" aria-label="Tried on the failing step">
      {trials.map(({ code, outcome, text }) => (
        <li key={code} class={outcome}>
          <b>{outcome === "finite" ? "✓ Tried on this step" : "✗ Tried on this step"}</b>{" "}
          <MarkedText text={text} />
        </li>
      ))}
    </ul>
  );
}

/** More places than these are in the list below. */
const PATH_PLACES = 4;

interface SpreadPathProps {
  origin: AffectedPlace;
  affected: readonly AffectedPlace[];
  onGoTo: (place: AffectedPlace) => void;
}

/** How the NaN or Inf went from the origin to the first tensors that it spread to. */
function SpreadPath({ origin, affected, onGoTo }: SpreadPathProps) {
  return (
    <ol class="spread-path" aria-label="From the origin to the first tensors that it spread to">
      {[origin, ...affected.slice(0, PATH_PLACES)].map((place, index) => (
        <li key={index}>
          <button
            type="button"
            title={`${placeTitle(place)} at step ${formatCount(place.step)}`}
            onClick={() => onGoTo(place)}
          >
            {shortTitle(place)} <span>{formatCount(place.step)}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}

interface AffectedPlacesProps {
  places: readonly AffectedPlace[];
  onGoTo: (place: AffectedPlace) => void;
}

function AffectedPlaces({ places, onGoTo }: AffectedPlacesProps) {
  if (places.length === 0) return null;
  return (
    <details class="affected">
      <summary>Spread to {formatCounted(places.length, "more tensor")}</summary>
      <ul>
        {places.map((place) => (
          <li key={`${place.role} ${place.worker ?? ""} ${place.tensor}`}>
            <button type="button" class="link" onClick={() => onGoTo(place)}>
              step {formatCount(place.step)} · <code>{placeTitle(place)}</code>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
