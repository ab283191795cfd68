/** The way from the selected tensor to what stands beside it in a step. */

import { useMemo } from "preact/hooks";
import { visibleName, wholeName } from "../../model/names";
import { neighborsOf } from "../../model/neighbors";
import { formatCount } from "../../model/numbers";
import { roleName } from "../../model/runs";
import type { Session } from "../../state/session";
import type { Tensor } from "../../wire/answers";

export function Neighbors({ session, tensor }: { session: Session; tensor: Tensor }) {
  const tensors = session.detail.value.value?.tensors;
  const { before, after, same } = useMemo(
    () => neighborsOf(tensor, tensors ?? []),
    [tensor, tensors],
  );
  if (!before && !after && same.length === 0) return null;
  return (
    <nav class="neighbors" aria-label="Neighbors in the data flow">
      {before && <Way session={session} tensor={before} what="before it" sign="←" />}
      {after && <Way session={session} tensor={after} what="after it" sign="→" />}
      {same.length > 0 && (
        <p>
          <span>also its</span>
          {same.map((one) => (
            <Link key={one.id} session={session} tensor={one} text={roleName(one.role)} />
          ))}
        </p>
      )}
    </nav>
  );
}

function Way({
  session,
  tensor,
  what,
  sign,
}: {
  session: Session;
  tensor: Tensor;
  what: string;
  sign: string;
}) {
  const [role, name] = [roleName(tensor.role), visibleName(tensor.name)];
  const text = role === name ? role : `${role} ${name}`;
  return (
    <p>
      <span>
        {sign} {what}
      </span>
      <Link session={session} tensor={tensor} text={text} />
    </p>
  );
}

function Link({ session, tensor, text }: { session: Session; tensor: Tensor; text: string }) {
  const first = tensor.first_nonfinite_step;
  return (
    <button
      type="button"
      class="link"
      title={wholeName(tensor.name)}
      onClick={() => session.stepAside(tensor.id)}
    >
      {text}
      {first !== null && <b> non-finite from {formatCount(first)}</b>}
    </button>
  );
}
