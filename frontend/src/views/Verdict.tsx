/** Where it broke, in one line; and whether anything is missing from what is shown. */

import { wholeName } from "../model/names";
import { count, counted } from "../model/numbers";
import {
  affectedSentence,
  healthySentence,
  missingSentences,
  nonfiniteCounts,
  roleWord,
} from "../model/verdict";
import type { Session } from "../state/session";
import type { RunDetail } from "../wire/answers";
import { StatusMark } from "./Runs";

export function Verdict({ session, detail }: { session: Session; detail: RunDetail }) {
  const missing = missingSentences(detail);
  return (
    <header class={`verdict ${detail.status}`}>
      <div class="verdict-line">
        <StatusMark status={detail.status} />
        <Headline detail={detail} />
        {detail.first_nonfinite && (
          <button type="button" class="show-first" onClick={() => session.selectFirstNonfinite()}>
            Show it
          </button>
        )}
      </div>
      <Circumstances session={session} detail={detail} />
      {missing.length > 0 && (
        <ul class="problems" aria-label="What is missing">
          {missing.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      )}
    </header>
  );
}

function Headline({ detail }: { detail: RunDetail }) {
  const first = detail.first_nonfinite;
  if (!first) return <h1>{healthySentence(detail)}</h1>;
  return (
    <h1>
      First non-finite: {first.initial ? "before " : ""}step {count(first.step)},{" "}
      {roleWord(first.role)} <code>{wholeName(first.name)}</code>: {nonfiniteCounts(first)}
    </h1>
  );
}

/** What else the run's list entry knows: how far it spread, what loss scaling handled. */
function Circumstances({ session, detail }: { session: Session; detail: RunDetail }) {
  const summary = session.runs.value.value?.find(({ run }) => run === detail.run);
  const skipped = summary?.scale_skipped_steps ?? 0;
  const facts = [
    ...(detail.first_nonfinite ? [affectedSentence(detail)] : []),
    ...(detail.first_nonfinite && detail.first_step !== null && detail.last_step !== null
      ? [`steps ${count(detail.first_step)}–${count(detail.last_step)} recorded`]
      : []),
    ...(skipped > 0 ? [`loss scaling skipped ${counted(skipped, "step")} and handled them`] : []),
  ];
  if (facts.length === 0) return null;
  return <p class="circumstances">{facts.join(" · ")}</p>;
}
