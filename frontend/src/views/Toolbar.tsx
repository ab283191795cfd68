/** The choice of the statistic and of the axis, beside the controls of the rows and the legend. */

import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { AXES } from "../model/scale";
import type { AxisName } from "../wire/answers";
import { STATISTICS, type StatisticName } from "../wire/schema";

const NO_TIMES = "Not available: fewer than two recording windows have a time";

interface ToolbarProps {
  statistic: Signal<StatisticName>;
  axis: Signal<AxisName>;
  /** The axis as drawn: not the chosen one where the run has no times. */
  shownAxis: AxisName;
  hasTimes: boolean;
  children: ComponentChildren;
}

export function Toolbar({ statistic, axis, shownAxis, hasTimes, children }: ToolbarProps) {
  return (
    <div class="toolbar">
      <fieldset class="choice">
        <legend>Color by</legend>
        {STATISTICS.map(({ name, label, description }) => (
          <label key={name} title={description}>
            <input
              type="radio"
              name="statistic"
              value={name}
              checked={statistic.value === name}
              onChange={() => {
                statistic.value = name;
              }}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <fieldset class="choice">
        <legend>X axis</legend>
        {AXES.map(({ name, label, description }) => {
          const isMissing = name === "wall" && !hasTimes;
          return (
            <label key={name} title={isMissing ? NO_TIMES : description}>
              <input
                type="radio"
                name="axis"
                value={name}
                disabled={isMissing}
                checked={shownAxis === name}
                onChange={() => {
                  axis.value = name;
                }}
              />
              <span>{label}</span>
            </label>
          );
        })}
      </fieldset>
      {children}
    </div>
  );
}
