/** The diagnosis in two lines: what happened, when and where; and the fix. */

import type { ComponentChildren } from "preact";
import { codeInOneLine, firstSentence, plainText, primaryFinding } from "../../model/findings";
import { batchRowsText } from "../../model/operation";
import { missingDataTexts, runFacts } from "../../model/runs";
import type { Finding, FindingsAnswer, RunDetail } from "../../wire/answers";
import { CopyButton } from "../CodeBlock";
import { SeverityIcon, StatusIcon } from "../icons";
import { MarkedText } from "./MarkedText";

interface VerdictProps {
  detail: RunDetail;
  /** Undefined while the run is being diagnosed, and where that failed. */
  answer: FindingsAnswer | undefined;
  error: string | undefined;
  /** The headline by the list of runs; "" where it has none yet. */
  knownHeadline: string;
  scaleSkippedSteps: number;
  /** How fresh the data is, at the right end. */
  freshness: ComponentChildren;
  onJump: (index: number) => void;
  onShowWhy: () => void;
  onRetry: () => void;
}

export function Verdict(props: VerdictProps) {
  const { detail, answer, error, freshness, onJump, onRetry } = props;
  const findings = answer?.findings ?? [];
  const primary = primaryFinding(findings);
  const finding = findings[primary];
  const tone = finding?.severity ?? answer?.status ?? "pending";
  const headline = headlineOf(props);
  return (
    <header class={`verdict ${tone}`}>
      <div class="verdict-line">
        {finding ? (
          <SeverityIcon severity={finding.severity} size={20} />
        ) : (
          <StatusIcon status={answer?.status ?? "pending"} />
        )}
        <h1 title={plainText(headline)}>
          <MarkedText text={headline} />
        </h1>
        {finding && (
          <button type="button" class="jump" onClick={() => onJump(primary)}>
            Jump to it
          </button>
        )}
        {error && !answer && (
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        )}
        {freshness}
      </div>
      {error && !answer && <p class="server-message">{error}</p>}
      {answer && (
        <div class="verdict-line second">
          {finding && <Fix finding={finding} />}
          <Circumstances {...props} detail={detail} answer={answer} />
        </div>
      )}
    </header>
  );
}

function headlineOf({ answer, error, knownHeadline }: VerdictProps): string {
  const headline = answer?.headline || knownHeadline;
  if (!headline) return error ? "The diagnosis could not be loaded" : "Diagnosing…";
  const rows = answer?.findings[primaryFinding(answer.findings)]?.origin.examples ?? [];
  if (rows.length === 0 || /batch row/i.test(headline)) return headline;
  const text = batchRowsText(rows);
  return `${headline} · ${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

/** The fix as code to copy; in words where there is no code. */
function Fix({ finding: { fix_code, advice } }: { finding: Finding }) {
  if (!fix_code) {
    return (
      <p class="fix-line">
        <b>Fix</b> <MarkedText text={firstSentence(advice)} />
      </p>
    );
  }
  return (
    <p class="fix-line" title={fix_code}>
      <b>Fix</b>
      <code>{codeInOneLine(fix_code)}</code>
      <CopyButton text={fix_code} what="the fix" />
    </p>
  );
}

function Circumstances(props: VerdictProps & { answer: FindingsAnswer }) {
  const { detail, answer, scaleSkippedSteps, onShowWhy } = props;
  const facts = runFacts(detail, answer, scaleSkippedSteps);
  const primary = primaryFinding(answer.findings);
  const others = answer.findings.length - (primary >= 0 ? 1 : 0);
  const isIncomplete = missingDataTexts(detail).length > 0;
  if (facts.length === 0 && others === 0 && !isIncomplete) return null;
  return (
    <p class="circumstances">
      <span>{facts.join(" · ")}</span>
      {others > 0 && (
        <button type="button" class="link" onClick={onShowWhy}>
          {primary >= 0 ? `${others} more` : others} {others === 1 ? "finding" : "findings"}
        </button>
      )}
      {isIncomplete && (
        <button type="button" class="link incomplete" onClick={onShowWhy}>
          Incomplete data
        </button>
      )}
    </p>
  );
}
