/** The findings of the run, the open one explained, and what of the run could not be read. */

import { severityLabel } from "../../model/findings";
import type { AffectedPlace, Finding } from "../../wire/answers";
import { SeverityIcon } from "../icons";
import { Explanation } from "./Explanation";
import { MarkedText } from "./MarkedText";

interface WhyPanelProps {
  findings: readonly Finding[];
  /** Index of the open finding; -1 for none. */
  openFinding: number;
  /** What of the run could not be read. */
  missing: readonly string[];
  onOpen: (index: number) => void;
  onGoTo: (place: AffectedPlace) => void;
}

export function WhyPanel({ findings, openFinding, missing, onOpen, onGoTo }: WhyPanelProps) {
  const [only] = findings;
  return (
    <div class="why-panel">
      {missing.length > 0 && (
        <ul class="problems" aria-label="Missing data">
          {missing.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
      {findings.length === 0 && <p class="nothing">Nothing to fix in what was recorded.</p>}
      {only && findings.length === 1 && openFinding === 0 ? (
        <Explanation finding={only} onGoTo={onGoTo} />
      ) : (
        <FindingList {...{ findings, openFinding, onOpen, onGoTo }} />
      )}
    </div>
  );
}

function FindingList(props: Omit<WhyPanelProps, "missing">) {
  const { findings, openFinding, onOpen, onGoTo } = props;
  return (
    <ul class="findings" aria-label="Findings">
      {findings.map((finding, index) => (
        <li key={index} class={`finding ${finding.severity}`}>
          <button
            type="button"
            class="finding-line"
            aria-expanded={index === openFinding}
            onClick={() => onOpen(index)}
          >
            <SeverityIcon severity={finding.severity} size={14} />
            <span class="finding-headline">
              <span class="severity">{severityLabel(finding.severity)}: </span>
              <MarkedText text={finding.headline} />
            </span>
          </button>
          {index === openFinding && <Explanation finding={finding} onGoTo={onGoTo} />}
        </li>
      ))}
    </ul>
  );
}
