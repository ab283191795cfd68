/** The diagnosis of the run, at the top of its page: the headline, its explanation, other findings. */

import type { Signal } from "@preact/signals";
import { primaryFinding, severityLabel } from "../../model/findings";
import { missingDataTexts, runFacts } from "../../model/runs";
import type { AffectedPlace, Finding, FindingsAnswer, RunDetail } from "../../wire/answers";
import { SeverityIcon, StatusIcon } from "../icons";
import { Explanation } from "./Explanation";
import { MarkedText } from "./MarkedText";

interface VerdictProps {
  detail: RunDetail;
  /** Undefined while the run is being diagnosed, and where that failed. */
  answer: FindingsAnswer | undefined;
  error: string | undefined;
  /** The headline by the list of runs; "" where it has none yet. */
  knownHeadline: string;
  scaleSkippedSteps: number;
  /** Index of the open finding; -1 for none. */
  openFinding: number;
  explanationShown: Signal<boolean>;
  onOpenFinding: (index: number) => void;
  onGoTo: (place: AffectedPlace) => void;
  onRetry: () => void;
}

export function Verdict(props: VerdictProps) {
  const { detail, answer, error, openFinding, explanationShown, onOpenFinding, onGoTo } = props;
  const findings = answer?.findings ?? [];
  const primary = primaryFinding(findings);
  const finding = findings[primary];
  const missing = missingDataTexts(detail);
  const tone = finding?.severity ?? answer?.status ?? "pending";
  return (
    <header class={`verdict ${tone}`}>
      <div class="verdict-line">
        {finding ? (
          <SeverityIcon severity={finding.severity} size={20} />
        ) : (
          <StatusIcon status={answer?.status ?? "pending"} />
        )}
        <h1>
          <Headline {...props} />
        </h1>
        {finding && (
          <>
            <button type="button" class="jump" onClick={() => onOpenFinding(primary)}>
              Jump to it
            </button>
            <ExplainToggle shown={explanationShown} />
          </>
        )}
        {error && !answer && (
          <button type="button" onClick={props.onRetry}>
            Try again
          </button>
        )}
      </div>
      {error && !answer && <p class="circumstances server-message">{error}</p>}
      {answer && <RunFacts facts={runFacts(detail, answer, props.scaleSkippedSteps)} />}
      {finding && explanationShown.value && openFinding === primary && (
        <Explanation finding={finding} onGoTo={onGoTo} />
      )}
      <FindingList
        label={finding ? "Other findings" : "Findings"}
        findings={findings}
        without={primary}
        open={openFinding}
        explanationShown={explanationShown.value}
        onOpen={onOpenFinding}
        onGoTo={onGoTo}
      />
      {missing.length > 0 && (
        <ul class="problems" aria-label="Missing data">
          {missing.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
    </header>
  );
}

function Headline({ answer, error, knownHeadline }: VerdictProps) {
  const headline = answer?.headline ?? knownHeadline;
  if (headline) return <MarkedText text={headline} />;
  return error ? "The diagnosis could not be loaded" : "Diagnosing…";
}

function ExplainToggle({ shown }: { shown: Signal<boolean> }) {
  return (
    <button
      type="button"
      class="link explain"
      aria-expanded={shown.value}
      onClick={() => {
        shown.value = !shown.value;
      }}
    >
      {shown.value ? "Hide explanation" : "Explain and fix"}
    </button>
  );
}

function RunFacts({ facts }: { facts: readonly string[] }) {
  return facts.length > 0 ? <p class="circumstances">{facts.join(" · ")}</p> : null;
}

interface FindingListProps {
  label: string;
  findings: readonly Finding[];
  /** Index of the finding that is not listed: the headline has it. */
  without: number;
  /** Index of the open finding. */
  open: number;
  explanationShown: boolean;
  onOpen: (index: number) => void;
  onGoTo: (place: AffectedPlace) => void;
}

function FindingList(props: FindingListProps) {
  const { label, findings, without, open, explanationShown, onOpen, onGoTo } = props;
  const listed = findings.map((finding, index) => ({ finding, index }));
  const others = listed.filter(({ index }) => index !== without);
  if (others.length === 0) return null;
  return (
    <ul class="findings" aria-label={label}>
      {others.map(({ finding, index }) => (
        <li key={index} class={`finding ${finding.severity}`}>
          <button
            type="button"
            class="finding-line"
            aria-expanded={index === open}
            onClick={() => onOpen(index)}
          >
            <SeverityIcon severity={finding.severity} size={14} />
            <span class="severity">{severityLabel(finding.severity)}</span>
            <span class="finding-headline">
              <MarkedText text={finding.headline} />
            </span>
          </button>
          {index === open && explanationShown && <Explanation finding={finding} onGoTo={onGoTo} />}
        </li>
      ))}
    </ul>
  );
}
