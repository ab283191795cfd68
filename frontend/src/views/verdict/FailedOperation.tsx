/** The operation that broke: its source with the line marked, its operands, whether it broke again. */

import { visibleName } from "../../model/names";
import { formatCount, formatCounted } from "../../model/numbers";
import {
  describeOperand,
  describeOperation,
  elementRows,
  sourceLines,
  sourceLocation,
} from "../../model/operation";
import type { Finding } from "../../wire/answers";

/** Rows of a batch that are named. */
const MOST_EXAMPLES = 10;

export function Operation({ finding }: { finding: Finding }) {
  const { operation, examples = [] } = finding.origin;
  const { rerun } = finding;
  if (!operation && examples.length === 0 && !rerun) return null;
  const rest = examples.length - MOST_EXAMPLES;
  const title = operation ? "Operation" : "The step, run again";
  return (
    <section class="operation" aria-label={title}>
      <h2>{title}</h2>
      {operation && (
        <div>
          <p>
            <b>{describeOperation(operation)}</b>
          </p>
          <Source finding={finding} />
        </div>
      )}
      <div>
        {operation && <Operands finding={finding} />}
        {examples.length > 0 && (
          <p class="examples">
            {formatCounted(examples.length, "row")} of the batch:{" "}
            {examples.slice(0, MOST_EXAMPLES).map(formatCount).join(", ")}
            {rest > 0 && ` and ${formatCount(rest)} more`}
          </p>
        )}
        {rerun && (
          <p class={`rerun ${rerun.reproduced ? "again" : "not-again"}`}>
            <b>{rerun.reproduced ? "✓ Happened again" : "○ Did not happen again"}</b> when the step
            was run again ({visibleName(rerun.mode)}). {rerun.note && visibleName(rerun.note)}
          </p>
        )}
      </div>
    </section>
  );
}

function Source({ finding }: { finding: Finding }) {
  const { operation } = finding.origin;
  if (!operation) return null;
  const lines = sourceLines(operation);
  const where = sourceLocation(operation);
  if (lines.length === 0) return where ? <p class="where">{where}</p> : null;
  return (
    <figure class="source">
      {where && <figcaption class="where">{where}</figcaption>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways by keys. */}
      <pre tabIndex={0}>
        {lines.map(({ number, text, broke }) => (
          <span key={number} class={`source-line ${broke ? "broke" : ""}`}>
            <i aria-hidden="true">{broke ? "▸" : " "}</i>
            <span class="line-number">{number ?? ""}</span>
            {text}
            {broke && <span class="unseen"> (here)</span>}
            {"\n"}
          </span>
        ))}
      </pre>
    </figure>
  );
}

function Operands({ finding }: { finding: Finding }) {
  const { operands = [], result } = finding.origin.operation ?? {};
  const all = result ? [...operands, { ...result, name: result.name ?? "result" }] : operands;
  const rows = elementRows(all);
  if (all.length === 0) return null;
  return (
    <table class="operands">
      <caption class="unseen">What went into the operation and what came out</caption>
      <thead>
        <tr>
          <th scope="col">At</th>
          {all.map((operand, at) => (
            <th scope="col" key={at}>
              <code>{visibleName(operand.name ?? "")}</code>
              <span class="aside">{describeOperand(operand)}</span>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ index, values }) => (
          <tr key={index}>
            <th scope="row">{index || "scalar"}</th>
            {values.map((value, at) => (
              <td key={at} class={/nan|inf/i.test(value) ? "bad" : ""}>
                {value}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
