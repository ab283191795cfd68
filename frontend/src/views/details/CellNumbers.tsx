/** Every number of a cell, with what it means. */

import { type CellNumber, numberGroups } from "../../model/cell_numbers";
import type { CellAnswer } from "../../wire/answers";

interface FactsProps {
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
}

export function CellNumbers({ answer, columns }: FactsProps) {
  return (
    <>
      {numberGroups(answer, columns).map(({ title, facts }) => (
        <section class="cell-numbers" key={title}>
          <h3>{title}</h3>
          <dl>
            {facts.map((fact) => (
              <NumberLine key={fact.label} fact={fact} />
            ))}
          </dl>
        </section>
      ))}
    </>
  );
}

function NumberLine({ fact }: { fact: CellNumber }) {
  return (
    <div class={fact.alarming ? "cell-number alarming" : "cell-number"}>
      <dt>{fact.label}</dt>
      <dd>{fact.text}</dd>
      <dd class="meaning">{fact.meaning}</dd>
    </div>
  );
}
