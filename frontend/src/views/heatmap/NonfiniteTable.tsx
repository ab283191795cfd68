/** The tensors with NaN or Inf as a table: for a screen reader in place of the picture. */

import { roleName, wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import { inOrder } from "../../model/rows";
import type { Tensor } from "../../wire/answers";

const MOST_ROWS = 100;

export function NonfiniteTable({ tensors }: { tensors: readonly Tensor[] }) {
  const nonfinite = tensors.filter(({ first_nonfinite_step }) => first_nonfinite_step !== null);
  if (nonfinite.length === 0) return null;
  return (
    <table class="unseen">
      <caption>
        Tensors with NaN or Inf, by first step
        {nonfinite.length > MOST_ROWS && ` (the first ${MOST_ROWS} of ${nonfinite.length})`}
      </caption>
      <thead>
        <tr>
          <th scope="col">First step</th>
          <th scope="col">Role</th>
          <th scope="col">Tensor</th>
          <th scope="col">Steps with NaN or Inf</th>
        </tr>
      </thead>
      <tbody>
        {inOrder(nonfinite, "first", undefined)
          .slice(0, MOST_ROWS)
          .map(({ id, first_nonfinite_step, role, name, nonfinite_steps }) => (
            <tr key={id}>
              <td>{formatCount(first_nonfinite_step ?? 0)}</td>
              <td>{roleName(role)}</td>
              <th scope="row">{wholeName(name)}</th>
              <td>{formatCount(nonfinite_steps)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}
