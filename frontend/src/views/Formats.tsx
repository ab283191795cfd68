/** What narrower number formats would lose of the selected tensor. */

import { eighthSentence, lossesOf, lossSentence, spreadOf } from "../model/formats";
import { roughShare } from "../model/numbers";
import { roleWord } from "../model/verdict";
import type { CellAnswer } from "../wire/answers";

export function Formats({ answer }: { answer: CellAnswer }) {
  const spread = spreadOf(answer);
  const losses = spread ? lossesOf(spread, answer.tensor.dtype) : [];
  if (losses.length === 0) return null;
  return (
    <section class="formats">
      <p class="loss">{lossSentence(losses, roleWord(answer.tensor.role))}</p>
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
  return <td class={value === 0 ? "none" : grave ? "grave" : ""}>{roughShare(value)}</td>;
}
