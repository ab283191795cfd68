/** The extremes of a healthy run, each with a way to it. */

import { useMemo } from "preact/hooks";
import type { Selection } from "../../model/cursor";
import { highlightsOf } from "../../model/highlights";
import { wholeName } from "../../model/names";
import { formatCount } from "../../model/numbers";
import type { Tensor } from "../../wire/answers";
import type { Grid } from "../../wire/grid";

interface HighlightsProps {
  norms: Grid | undefined;
  tensors: readonly Tensor[];
  onSelect: (selection: Selection) => void;
}

export function Highlights({ norms, tensors, onSelect }: HighlightsProps) {
  const highlights = useMemo(() => {
    const isAllFinite = tensors.every(({ first_nonfinite_step }) => first_nonfinite_step === null);
    return norms && isAllFinite ? highlightsOf(norms, tensors) : [];
  }, [norms, tensors]);
  if (highlights.length === 0) return null;
  return (
    <section class="highlights">
      <h3>Highlights</h3>
      <ul>
        {highlights.map(({ what, tensor, step, value }) => (
          <li key={what}>
            <button
              type="button"
              class="link"
              onClick={() => onSelect({ tensor: tensor.id, step })}
            >
              {what}: L2 norm {value} at step {formatCount(step)},{" "}
              <code>{wholeName(tensor.name)}</code>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
