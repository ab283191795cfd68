/** What of the choices outlives the page, as the texts that an address can hold. */

import type { Kept } from "../host/fragment";
import type { Selection } from "../model/cursor";
import { STATISTICS, type StatisticName } from "../wire/schema";
import type { Session } from "./session";

export interface Choices {
  run: string;
  statistic: StatisticName;
  /** Roles whose lanes are closed. */
  closed: ReadonlySet<string>;
  selection: Selection;
}

/** The choices of a kept address; what it does not hold, or holds wrongly, is left out. */
export function choicesOf(kept: Kept): Partial<Choices> {
  const choices: Partial<Choices> = {};
  if (kept.run !== undefined) choices.run = kept.run;
  const statistic = STATISTICS.find(({ name }) => name === kept.statistic);
  if (statistic) choices.statistic = statistic.name;
  if (kept.closed) choices.closed = new Set(kept.closed.split(","));
  const step = Number(kept.step);
  if (kept.tensor && kept.step && Number.isSafeInteger(step)) {
    choices.selection = { tensor: kept.tensor, step };
  }
  return choices;
}

export function keptOf(session: Session): Kept {
  const run = session.run.value;
  const selection = session.selection.value;
  const closed = [...session.closed.value].join(",");
  return {
    ...(run === null ? {} : { run }),
    statistic: session.statistic.value,
    ...(closed ? { closed } : {}),
    ...(selection ? { tensor: selection.tensor, step: String(selection.step) } : {}),
  };
}
