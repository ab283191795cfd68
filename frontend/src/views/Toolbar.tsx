/** The choice of the statistic, and the legend of what is painted. */

import type { Session } from "../state/session";
import { STATISTICS } from "../wire/schema";
import { Legend } from "./Legend";

export function Toolbar({ session }: { session: Session }) {
  return (
    <div class="toolbar">
      <fieldset class="statistics">
        <legend>Colour shows</legend>
        {STATISTICS.map(({ name, label, description }) => (
          <label key={name} title={description}>
            <input
              type="radio"
              name="statistic"
              value={name}
              checked={session.statistic.value === name}
              onChange={() => {
                session.statistic.value = name;
              }}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <Legend session={session} />
    </div>
  );
}
