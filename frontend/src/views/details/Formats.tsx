/** How the selected tensor fits narrower number formats. */

import { exponentCountsOf, float16Text, formatFits } from "../../model/formats";
import { roleName } from "../../model/names";
import { formatShortPercent } from "../../model/numbers";
import type { CellAnswer } from "../../wire/answers";

export function Formats({ answer }: { answer: CellAnswer }) {
  const counts = exponentCountsOf(answer);
  const fits = counts ? formatFits(counts, answer.tensor.dtype) : [];
  if (fits.length === 0) return null;
  return (
    <section class="formats">
      <p class="summary">{float16Text(fits, roleName(answer.tensor.role))}</p>
      <table>
        <thead>
          <tr>
            <th scope="col">dtype</th>
            <th scope="col" title="Closer to zero than to any other number of the dtype">
              flush to zero
            </th>
            <th scope="col" title="Below the smallest normal number of the dtype">
              lose precision
            </th>
            <th scope="col" title="Above the largest finite number of the dtype">
              overflow
            </th>
          </tr>
        </thead>
        <tbody>
          {fits.map(({ format, zero, subnormal, infinite }) => (
            <tr key={format.name}>
              <th scope="row">{format.name}</th>
              <ShareCell value={zero} severe />
              <ShareCell value={subnormal} />
              <ShareCell value={infinite} severe />
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function ShareCell({ value, severe = false }: { value: number; severe?: boolean }) {
  return <td class={value === 0 ? "none" : severe ? "severe" : ""}>{formatShortPercent(value)}</td>;
}
