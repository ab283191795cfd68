/** The operation that produced the NaN or Inf: its source, its operands, and the re-run of its step. */

import { visibleName } from "../../model/names";
import {
  batchRowsText,
  describeOperand,
  describeOperation,
  elementRows,
  rerunModeText,
  sourceLines,
  sourceLocation,
} from "../../model/operation";
import type { FindingPlace, Operation, Rerun } from "../../wire/answers";

interface FailedOperationProps {
  origin: FindingPlace;
  rerun: Rerun | undefined;
}

export function FailedOperation({ origin, rerun }: FailedOperationProps) {
  const { operation, examples = [] } = origin;
  if (!operation && examples.length === 0 && !rerun) return null;
  const title = operation ? "Operation" : rerun ? "Re-run of the failing step" : "Batch";
  return (
    <section class="operation" aria-label={title}>
      <h2>{title}</h2>
      {operation && (
        <div>
          <p>
            <b>{describeOperation(operation)}</b>
          </p>
          <Source operation={operation} />
        </div>
      )}
      <div>
        {operation && <Operands operation={operation} />}
        {examples.length > 0 && <p class="examples">{batchRowsText(examples)}</p>}
        {rerun && <RerunResult rerun={rerun} />}
      </div>
    </section>
  );
}

function RerunResult({ rerun: { reproduced, mode, note } }: { rerun: Rerun }) {
  return (
    <p class={`rerun ${reproduced ? "reproduced" : ""}`}>
      <b>{reproduced ? "✓ Reproduced" : "○ Not reproduced"}</b> when re-run {rerunModeText(mode)}.{" "}
      {note && visibleName(note)}
    </p>
  );
}

function Source({ operation }: { operation: Operation }) {
  const lines = sourceLines(operation);
  const location = sourceLocation(operation);
  if (lines.length === 0) return location ? <p class="where">{location}</p> : null;
  return (
    <figure class="source">
      {location && <figcaption class="where">{location}</figcaption>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways by keys. */}
      <pre tabIndex={0}>
        {lines.map(({ number, text, failing }) => (
          <span key={number} class={`source-line ${failing ? "failing" : ""}`}>
            <i aria-hidden="true">{failing ? "▸" : " "}</i>
            <span class="line-number">{number ?? ""}</span>
            {text}
            {failing && <span class="unseen"> (this line)</span>}
            {"\n"}
          </span>
        ))}
      </pre>
    </figure>
  );
}

function Operands({ operation: { operands = [], result } }: { operation: Operation }) {
  const columns = result ? [...operands, { ...result, name: result.name ?? "result" }] : operands;
  if (columns.length === 0) return null;
  return (
    <table class="operands">
      <caption class="unseen">Inputs and result of the operation</caption>
      <thead>
        <tr>
          <th scope="col">Index</th>
          {columns.map((operand, at) => (
            <th scope="col" key={at}>
              <code>{visibleName(operand.name ?? "")}</code>
              <span class="aside">{describeOperand(operand)}</span>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {elementRows(columns).map(({ index, values }) => (
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
