/** One row of controls: what the cells show, the axis, which rows; what is rarer is in menus. */

import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { AXES } from "../model/scale";
import type { AxisName } from "../wire/answers";
import { STATISTICS, type StatisticName } from "../wire/schema";
import { Choice } from "./Choice";

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
      <Choice
        label="Color by"
        name="statistic"
        title={STATISTICS.find(({ name }) => name === statistic.value)?.description}
        value={statistic.value}
        options={STATISTICS.map(({ name, label, description }) => {
          return { value: name, label, title: description };
        })}
        onChoose={(name) => {
          statistic.value = name;
        }}
      />
      <Choice
        label="X axis"
        name="axis"
        value={shownAxis}
        options={AXES.map(({ name, label, description }) => {
          const isMissing = name === "wall" && !hasTimes;
          return {
            value: name,
            label,
            title: isMissing ? NO_TIMES : description,
            disabled: isMissing,
          };
        })}
        onChoose={(name) => {
          axis.value = name;
        }}
      />
      {children}
    </div>
  );
}
