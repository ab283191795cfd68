/** The choice of the statistic, of the axis and of the rows, and the legend of what is painted. */

import { AXES } from "../model/scale";
import type { Session } from "../state/session";
import { STATISTICS } from "../wire/schema";
import { Legend } from "./Legend";
import { RowsBar } from "./RowsBar";

/** The legend has it. */
const UNIT = / \(log10\)$/;

const NO_TIMES = "Fewer than two records of this run tell when they were written";

export function Toolbar({ session }: { session: Session }) {
  const times = session.detail.value.value?.times;
  return (
    <div class="toolbar">
      <fieldset class="statistics">
        <legend>Color</legend>
        {STATISTICS.map(({ name, label, description }) => (
          <label key={name} title={description}>
            <input
              type="radio"
              name="statistic"
              value={name}
              checked={session.grids.statistic.value === name}
              onChange={() => {
                session.grids.statistic.value = name;
              }}
            />
            <span>{label.replace(UNIT, "")}</span>
          </label>
        ))}
      </fieldset>
      <fieldset class="statistics">
        <legend>Axis</legend>
        {AXES.map(({ name, label, description }) => (
          <label key={name} title={name === "wall" && !times ? NO_TIMES : description}>
            <input
              type="radio"
              name="axis"
              value={name}
              disabled={name === "wall" && !times}
              checked={session.scale.value.name === name}
              onChange={() => {
                session.axis.value = name;
              }}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <RowsBar session={session} />
      <Legend session={session} />
    </div>
  );
}
