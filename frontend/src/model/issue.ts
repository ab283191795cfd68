/** A finding as an issue to paste: Markdown with the verdict, the code, the operands, the versions. */

import type { Finding, RunDetail } from "../wire/answers";
import { formatCount } from "./numbers";
import {
  describeOperand,
  describeOperation,
  elementRows,
  sourceLines,
  sourceLocation,
} from "./operation";

export function issueText(
  finding: Finding,
  { run, first_step, last_step, versions }: RunDetail,
): string {
  const { headline, message, advice, fix_code, origin } = finding;
  const steps =
    first_step === null || last_step === null
      ? ""
      : `, steps ${formatCount(first_step)} to ${formatCount(last_step)}`;
  return [
    `## ${headline}`,
    message,
    ...operationParts(origin.operation),
    "### Fix",
    advice,
    ...(fix_code ? [fenced(fix_code)] : []),
    `Run \`${run}\`${steps}${versions ? `; ${versions}` : ""}. Found by NaNWatch.`,
  ]
    .filter(Boolean)
    .join("\n\n")
    .concat("\n");
}

function operationParts(operation: Finding["origin"]["operation"]): string[] {
  if (!operation) return [];
  const lines = sourceLines(operation).map(
    ({ number, text, failing }) =>
      `${failing ? ">" : " "} ${String(number ?? "").padStart(4)} ${text}`,
  );
  const { operands = [], result } = operation;
  const columns = result ? [...operands, { ...result, name: result.name ?? "result" }] : operands;
  const names = columns.map((operand) => `${operand.name ?? ""} (${describeOperand(operand)})`);
  const rows = elementRows(columns).map(
    ({ index, values }) => `| ${[index || "scalar", ...values].join(" | ")} |`,
  );
  return [
    `### ${describeOperation(operation)}`,
    sourceLocation(operation),
    lines.length > 0 ? fenced(lines.join("\n"), "") : "",
    rows.length > 0
      ? [
          `| index | ${names.join(" | ")} |`,
          `| ${["", ...names].map(() => "---").join(" | ")} |`,
          ...rows,
        ].join("\n")
      : "",
  ];
}

/** A fence that is longer than any in the code. */
function fenced(code: string, language = "python"): string {
  const longest = Math.max(2, ...[...code.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${code}\n${fence}`;
}
