/** What narrower number formats would lose of the selected tensor. */

import { eighthSentence, exponentCountsOf, float16Sentence, formatFits } from "../../model/formats";
import { formatShortPercent } from "../../model/numbers";
import { roleName } from "../../model/runs";
import type { CellAnswer } from "../../wire/answers";

export function Formats({ answer }: { answer: CellAnswer }) {
  const spread = exponentCountsOf(answer);
  const losses = spread ? formatFits(spread, answer.tensor.dtype) : [];
  if (losses.length === 0) return null;
  return (
    <section class="formats">
      <p class="loss">{float16Sentence(losses, roleName(answer.tensor.role))}</p>
      <p class="loss-more">{eighthSentence(losses)}</p>
      <table>
        <thead>
          <tr>
            <th scope="col">in</th>
            <th scope="col" title="nearer to zero than to any other number of the format">
              zero
            </th>
            <th scope="col" title="below its smallest normal number: fewer digits">
              subnormal
            </th>
            <th scope="col" title="beyond its largest finite number">
              overflow
            </th>
          </tr>
        </thead>
        <tbody>
          {losses.map(({ format, zero, subnormal, infinite }) => (
            <tr key={format.name}>
              <th scope="row">{format.name}</th>
              <Share value={zero} grave />
              <Share value={subnormal} />
              <Share value={infinite} grave />
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Share({ value, grave = false }: { value: number; grave?: boolean }) {
  return <td class={value === 0 ? "none" : grave ? "grave" : ""}>{formatShortPercent(value)}</td>;
}
