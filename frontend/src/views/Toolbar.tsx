/** One row of controls: what the cells show, the axis, which rows; what is rarer is in menus. */

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
      <label class="choice">
        <span>Color by</span>
        <select
          name="statistic"
          title={STATISTICS.find(({ name }) => name === statistic.value)?.description}
          value={statistic.value}
          onChange={(event) => {
            statistic.value = event.currentTarget.value as StatisticName;
          }}
        >
          {STATISTICS.map(({ name, label, description }) => (
            <option key={name} value={name} title={description}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label class="choice">
        <span>X axis</span>
        <select
          name="axis"
          value={shownAxis}
          onChange={(event) => {
            axis.value = event.currentTarget.value as AxisName;
          }}
        >
          {AXES.map(({ name, label, description }) => {
            const isMissing = name === "wall" && !hasTimes;
            return (
              <option
                key={name}
                value={name}
                title={isMissing ? NO_TIMES : description}
                disabled={isMissing}
              >
                {label}
              </option>
            );
          })}
        </select>
      </label>
      {children}
    </div>
  );
}
