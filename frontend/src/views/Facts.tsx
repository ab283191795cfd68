/** Every number of a cell, with what it means. */

import { type Fact, factGroups } from "../model/facts";
import type { CellAnswer } from "../wire/answers";

interface FactsProps {
  answer: CellAnswer;
  columns: NonNullable<CellAnswer["columns"]>;
}

export function Facts({ answer, columns }: FactsProps) {
  return (
    <>
      {factGroups(answer, columns).map(({ title, facts }) => (
        <section class="facts" key={title}>
          <h3>{title}</h3>
          <dl>
            {facts.map((fact) => (
              <FactLine key={fact.label} fact={fact} />
            ))}
          </dl>
        </section>
      ))}
    </>
  );
}

function FactLine({ fact }: { fact: Fact }) {
  return (
    <div class={fact.alarming ? "fact alarming" : "fact"}>
      <dt>{fact.label}</dt>
      <dd>{fact.text}</dd>
      <dd class="meaning">{fact.meaning}</dd>
    </div>
  );
}
