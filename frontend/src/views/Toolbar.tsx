/** The choice of the statistic and of the rows, and the legend of what is painted. */

import type { Session } from "../state/session";
import { STATISTICS } from "../wire/schema";
import { Legend } from "./Legend";
import { RowsBar } from "./RowsBar";

/** The legend has it. */
const UNIT = / \(log10\)$/;

export function Toolbar({ session }: { session: Session }) {
  return (
    <div class="toolbar">
      <fieldset class="statistics">
        <legend>Colour</legend>
        {STATISTICS.map(({ name, label, description }) => (
          <label key={name} title={description}>
            <input
              type="radio"
              name="statistic"
              value={name}
              checked={session.picture.statistic.value === name}
              onChange={() => {
                session.picture.statistic.value = name;
              }}
            />
            <span>{label.replace(UNIT, "")}</span>
          </label>
        ))}
      </fieldset>
      <RowsBar session={session} />
      <Legend session={session} />
    </div>
  );
}
