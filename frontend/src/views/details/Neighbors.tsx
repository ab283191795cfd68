/** Links from the selected tensor to those upstream and downstream of it, and of its variable. */

import { useMemo } from "preact/hooks";
import { roleName, tensorTitle, wholeName } from "../../model/names";
import { hasCallGraph, neighborsOf } from "../../model/neighbors";
import { formatCount } from "../../model/numbers";
import type { Tensor } from "../../wire/answers";

/** A layer may feed hundreds of others. */
const MOST_LINKS = 6;

const VARIABLE_ROLES = new Set(["gradient", "slot", "update", "weight"]);

interface NeighborsProps {
  tensor: Tensor;
  tensors: readonly Tensor[];
  onGoTo: (tensor: string) => void;
}

export function Neighbors({ tensor, tensors, onGoTo }: NeighborsProps) {
  const { upstream, downstream, sameVariable } = useMemo(
    () => neighborsOf(tensor, tensors),
    [tensor, tensors],
  );
  const isRecorded = useMemo(() => hasCallGraph(tensors), [tensors]);
  return (
    <nav class="neighbors" aria-label="Upstream and downstream tensors">
      <Links label="↑ Upstream" tensors={upstream} textOf={tensorTitle} onGoTo={onGoTo} />
      <Links label="↓ Downstream" tensors={downstream} textOf={tensorTitle} onGoTo={onGoTo} />
      <Links
        label={VARIABLE_ROLES.has(tensor.role) ? "Same variable" : "Same layer"}
        tensors={sameVariable}
        textOf={({ role }) => roleName(role)}
        onGoTo={onGoTo}
      />
      {!isRecorded && <p class="unknown">The call graph was not recorded.</p>}
    </nav>
  );
}

interface LinksProps {
  label: string;
  tensors: readonly Tensor[];
  textOf: (tensor: Tensor) => string;
  onGoTo: (tensor: string) => void;
}

function Links({ label, tensors, textOf, onGoTo }: LinksProps) {
  if (tensors.length === 0) return null;
  const rest = tensors.length - MOST_LINKS;
  return (
    <div class="links">
      <span>{label}</span>
      <p>
        {tensors.slice(0, MOST_LINKS).map((tensor) => (
          <TensorLink key={tensor.id} tensor={tensor} text={textOf(tensor)} onGoTo={onGoTo} />
        ))}
        {rest > 0 && <span class="rest">and {formatCount(rest)} more</span>}
      </p>
    </div>
  );
}

interface TensorLinkProps {
  tensor: Tensor;
  text: string;
  onGoTo: (tensor: string) => void;
}

function TensorLink({ tensor, text, onGoTo }: TensorLinkProps) {
  const step = tensor.first_nonfinite_step;
  return (
    <button
      type="button"
      class="link"
      title={wholeName(tensor.name)}
      onClick={() => onGoTo(tensor.id)}
    >
      {text}
      {step !== null && <b> NaN/Inf from step {formatCount(step)}</b>}
    </button>
  );
}
