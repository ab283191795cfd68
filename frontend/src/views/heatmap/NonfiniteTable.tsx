/** Who went non-finite when, as a table: what a screen reader has in place of the picture. */

import { wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import { inOrder } from "../../model/rows";
import { roleName } from "../../model/runs";
import type { Tensor } from "../../wire/answers";

const MOST = 100;

export function NonfiniteTable({ tensors }: { tensors: readonly Tensor[] }) {
  const troubled = tensors.filter(({ first_nonfinite_step }) => first_nonfinite_step !== null);
  if (troubled.length === 0) return null;
  const rest = troubled.length - MOST;
  return (
    <table class="unseen">
      <caption>
        Tensors by their first non-finite step
        {rest > 0 && `, the first ${MOST} of ${troubled.length}`}
      </caption>
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col">Role</th>
          <th scope="col">Tensor</th>
          <th scope="col">Non-finite steps</th>
        </tr>
      </thead>
      <tbody>
        {inOrder(troubled, "first", undefined)
          .slice(0, MOST)
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
