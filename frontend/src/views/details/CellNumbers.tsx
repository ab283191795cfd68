/** All numbers of a cell. What each one means is in its tooltip. */

import { numberGroups } from "../../model/cell_numbers";
import type { CellAnswer } from "../../wire/answers";

interface CellNumbersProps {
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
}

export function CellNumbers({ answer, columns }: CellNumbersProps) {
  return (
    <>
      {numberGroups(answer, columns).map(({ title, numbers }) => (
        <section class="cell-numbers" key={title}>
          <h3>{title}</h3>
          <dl>
            {numbers.map(({ label, text, description, alarming }) => (
              <div
                key={label}
                class={alarming ? "cell-number alarming" : "cell-number"}
                title={description}
              >
                <dt>{label}</dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </>
  );
}
