/** What of the choices outlives the page, as the texts that an address can hold. */

import type { UrlState } from "../host/fragment";
import { TOLERANCES } from "../model/comparison";
import type { Selection } from "../model/cursor";
import type { Range } from "../model/range";
import { ORDERS, type Order } from "../model/rows";
import { AXES } from "../model/scale";
import type { AxisName } from "../wire/answers";
import { STATISTICS, type StatisticName } from "../wire/schema";
import type { Layout } from "./rows";
import type { Session } from "./session";

export interface Choices {
  run: string;
  statistic: StatisticName;
  axis: AxisName;
  folds: ReadonlyMap<string, boolean>;
  pinned: ReadonlySet<string>;
  filter: string;
  order: Order;
  layout: Layout;
  role: string;
  onlyAffected: boolean;
  replicas: string;
  curves: boolean;
  selection: Selection;
  range: Range;
  compareWith: readonly string[];
  difference: boolean;
  tolerance: number;
}

/** First and last step in sight: "120..260". */
const STEPS = /^(-?\d{1,16})\.\.(-?\d{1,16})$/;

/** The choices of a kept address; what it does not hold, or holds wrongly, is left out. */
export function choicesFromUrl(kept: UrlState): Partial<Choices> {
  const choices: Partial<Choices> = {};
  if (kept.run !== undefined) choices.run = kept.run;
  const statistic = STATISTICS.find(({ name }) => name === kept.statistic);
  if (statistic) choices.statistic = statistic.name;
  const axis = AXES.find(({ name }) => name === kept.axis);
  if (axis) choices.axis = axis.name;
  if (kept.folds) {
    choices.folds = new Map(
      listed(kept.folds).map((fold) => [fold.slice(1), fold.startsWith("+")]),
    );
  }
  if (kept.pinned) choices.pinned = new Set(listed(kept.pinned));
  if (kept.filter) choices.filter = kept.filter;
  const order = ORDERS.find(({ name }) => name === kept.order);
  if (order) choices.order = order.name;
  if (kept.layout === "tree" || kept.layout === "list") choices.layout = kept.layout;
  if (kept.role) choices.role = kept.role;
  if (kept.replicas) choices.replicas = kept.replicas;
  if (kept.only === "trouble") choices.onlyAffected = true;
  const step = Number(kept.step);
  if (kept.tensor && kept.step && Number.isSafeInteger(step)) {
    choices.selection = { tensor: kept.tensor, step };
  }
  if (kept.with) choices.compareWith = listed(kept.with);
  if (kept.beside === "difference") choices.difference = true;
  const tolerance = TOLERANCES.find(({ value }) => String(value) === kept.tolerance);
  if (tolerance) choices.tolerance = tolerance.value;
  if (kept.curves === "off") choices.curves = false;
  const steps = STEPS.exec(kept.steps ?? "");
  if (steps && Number(steps[1]) <= Number(steps[2])) {
    choices.range = { from: Number(steps[1]), to: Number(steps[2]) + 1 };
  }
  return choices;
}

export function urlStateOf(session: Session): UrlState {
  const { rows, viewport, grids } = session;
  const selection = session.selection.value;
  const range = viewport.chosen.value;
  const kept: Record<string, string | null> = {
    run: session.run.value,
    statistic: grids.statistic.value,
    axis: session.axis.value === "step" ? null : session.axis.value,
    steps: range && `${Math.floor(range.from)}..${Math.ceil(range.to) - 1}`,
    with: list(session.compareWith.value),
    beside: session.difference.value ? "difference" : null,
    tolerance:
      session.tolerance.value === TOLERANCES[0].value ? null : String(session.tolerance.value),
    curves: session.curves.value ? null : "off",
    filter: rows.filter.value,
    role: rows.role.value,
    order: rows.order.value === "model" ? null : rows.order.value,
    layout: rows.chosenLayout.value,
    replicas: rows.replicas.value === "beside" ? null : rows.replicas.value,
    only: rows.onlyAffected.value ? "trouble" : null,
    pinned: list(rows.pinned.value),
    folds: list([...rows.folds.value].map(([key, open]) => `${open ? "+" : "-"}${key}`)),
    tensor: selection?.tensor ?? null,
    step: selection && String(selection.step),
  };
  return Object.fromEntries(
    Object.entries(kept).flatMap(([key, value]) => (value ? [[key, value]] : [])),
  );
}

/** Keys hold any character, the comma too. */
function list(keys: Iterable<string>): string {
  return [...keys].map(encodeURIComponent).join(",");
}

function listed(text: string): string[] {
  try {
    return text.split(",").map(decodeURIComponent);
  } catch {
    return []; // A truncated link.
  }
}
