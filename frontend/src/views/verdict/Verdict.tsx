/** Where it broke, when, why and what to do: on top of the page, before anything is clicked. */

import {
  causeWords,
  placeWords,
  primaryFinding,
  segmentsOf,
  severityWord,
  victimsWords,
  whenWords,
} from "../../model/findings";
import { wholeName } from "../../model/names";
import { formatCount, formatCounted, formatSteps } from "../../model/numbers";
import {
  affectedSentence,
  healthySentence,
  missingSentences,
  nonfiniteCounts,
  roleName,
} from "../../model/runs";
import type { Session } from "../../state/session";
import type { Finding, FindingPlace, RunDetail } from "../../wire/answers";
import { SeverityIcon, StatusIcon } from "../icons";
import { Operation } from "./FailedOperation";

interface FindingsProps {
  session: Session;
  detail: RunDetail;
}

export function Findings({ session, detail }: FindingsProps) {
  const findings = session.findings.value.value?.findings ?? [];
  const primary = primaryFinding(findings);
  const missing = missingSentences(detail);
  const first = findings[primary];
  const others = findings.map((_, index) => index).filter((index) => index !== primary);
  return (
    <header class={`verdict ${first?.severity ?? detail.status}`}>
      <div class="verdict-line">
        {first ? (
          <SeverityIcon severity={first.severity} size={20} />
        ) : (
          <StatusIcon status={detail.status} />
        )}
        <Headline detail={detail} finding={first} />
        {first ? (
          <>
            <button type="button" class="jump" onClick={() => session.chooseFinding(primary)}>
              Show it
            </button>
            <button
              type="button"
              class="link why"
              aria-expanded={session.explained.value}
              onClick={() => {
                session.explained.value = !session.explained.value;
              }}
            >
              {session.explained.value ? "Less" : "Why, and what to do"}
            </button>
          </>
        ) : (
          detail.first_nonfinite && (
            <button type="button" class="jump" onClick={() => session.selectFirstNonfinite()}>
              Show it
            </button>
          )
        )}
      </div>
      <Circumstances session={session} detail={detail} />
      {first && session.explained.value && session.finding.value === primary && (
        <Explained session={session} finding={first} />
      )}
      {others.length > 0 && (
        <ul class="findings" aria-label={first ? "Other findings" : "Findings"}>
          {others.map((index) => (
            <FindingLine
              key={index}
              session={session}
              finding={findings[index] as Finding}
              index={index}
            />
          ))}
        </ul>
      )}
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

function Headline({ detail, finding }: { detail: RunDetail; finding: Finding | undefined }) {
  const first = detail.first_nonfinite;
  if (finding) {
    return (
      <h1>
        {whenWords(finding)}: {causeWords(finding.cause)} <Place place={finding.origin} />
      </h1>
    );
  }
  if (!first) return <h1>{healthySentence(detail)}</h1>;
  return (
    <h1>
      First non-finite: {first.initial ? "before " : ""}step {formatCount(first.step)},{" "}
      {roleName(first.role)} <code>{wholeName(first.name)}</code>: {nonfiniteCounts(first)}
    </h1>
  );
}

function Place({ place }: { place: FindingPlace }) {
  return (
    <span class="place">
      · {placeWords(place)} <code>{wholeName(place.tensor)}</code>
    </span>
  );
}

interface FindingLineProps {
  session: Session;
  finding: Finding;
  index: number;
}

function FindingLine({ session, finding, index }: FindingLineProps) {
  const open = session.finding.value === index;
  return (
    <li class={`finding ${finding.severity}`}>
      <button
        type="button"
        class="finding-line"
        aria-expanded={open}
        onClick={() => session.chooseFinding(index)}
      >
        <SeverityIcon severity={finding.severity} size={14} />
        <span class="severity">{severityWord(finding.severity)}</span>
        <span class="steps">{stepsWords(finding)}</span>
        <span class="cause">
          {causeWords(finding.cause)} <Place place={finding.origin} />
        </span>
      </button>
      {open && session.explained.value && <Explained session={session} finding={finding} />}
    </li>
  );
}

/** An error has a step, what goes on for long has a range of them. */
function stepsWords({ severity, step, last_step }: Finding): string {
  return formatSteps(step, severity === "error" ? step : last_step);
}

/** Why, what to do, and where it spread. */
function Explained({ session, finding }: { session: Session; finding: Finding }) {
  const { message, advice, victims, turn_on = [] } = finding;
  return (
    <div class={`explained ${finding.origin.operation ? "with-operation" : ""}`}>
      <div>
        <h2>Why</h2>
        <Prose text={message} />
        {victims.length > 0 && (
          <details class="affected">
            <summary>{victimsWords(victims.length)}</summary>
            <ul>
              {victims.map((victim) => (
                <li key={`${victim.role} ${victim.worker ?? ""} ${victim.tensor}`}>
                  <button type="button" class="link" onClick={() => session.choosePlace(victim)}>
                    step {formatCount(victim.step)} <Place place={victim} />
                  </button>
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
      <div>
        <h2>What to do</h2>
        <Prose text={advice} />
        {turn_on.length > 0 && (
          <p class="record-also">
            Recording{" "}
            {turn_on.map((role, index) => (
              <>
                {index > 0 && ", "}
                <code>{role}</code>
              </>
            ))}{" "}
            too would tell it exactly: <code>watch={JSON.stringify(["default", ...turn_on])}</code>
          </p>
        )}
      </div>
      <Operation finding={finding} />
    </div>
  );
}

/** A text as paragraphs, its code in monospace. */
function Prose({ text }: { text: string }) {
  return (
    <p class="prose">
      {segmentsOf(text).map(({ code, block, text: piece }, index) =>
        block ? (
          <code key={index} class="code">
            {piece}
          </code>
        ) : code ? (
          <code key={index}>{piece}</code>
        ) : (
          piece
        ),
      )}
    </p>
  );
}

/** How far it spread, what was recorded, what loss scaling handled. */
function Circumstances({ session, detail }: FindingsProps) {
  const summary = session.runs.value.value?.find(({ run }) => run === detail.run);
  const skipped = summary?.scale_skipped_steps ?? 0;
  const troubled = detail.first_nonfinite || session.findings.value.value?.findings.length;
  const facts = [
    ...(detail.first_nonfinite ? [affectedSentence(detail)] : []),
    ...(troubled && detail.first_step !== null && detail.last_step !== null
      ? [`${formatSteps(detail.first_step, detail.last_step)} recorded`]
      : []),
    ...(skipped > 0
      ? [`loss scaling skipped ${formatCounted(skipped, "step")} and handled them`]
      : []),
  ];
  if (facts.length === 0) return null;
  return <p class="circumstances">{facts.join(" · ")}</p>;
}
