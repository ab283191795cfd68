/** The choices that an address keeps, as texts. */

import { batch } from "@preact/signals";
import type { UrlState } from "../host/fragment";
import { TOLERANCES } from "../model/comparison";
import type { Selection } from "../model/cursor";
import { PANEL_TABS, type PanelTab } from "../model/panel";
import type { Range } from "../model/range";
import { ORDERS, type Order } from "../model/rows";
import { RUN_ORDERS, type RunOrder } from "../model/runs";
import { AXES } from "../model/scale";
import type { Steps } from "../model/selected_range";
import type { AxisName } from "../wire/answers";
import { STATISTICS, type StatisticName } from "../wire/schema";
import type { Layout } from "./rows";
import type { Session } from "./session";

export interface Choices {
  run: string;
  runFilter: string;
  runOrder: RunOrder;
  statistic: StatisticName;
  axis: AxisName;
  folds: ReadonlyMap<string, boolean>;
  pinned: ReadonlySet<string>;
  filter: string;
  order: Order;
  layout: Layout;
  role: string;
  layer: string;
  onlyAffected: boolean;
  replicas: string;
  curvesShown: boolean;
  selection: Selection;
  range: Range;
  selectedRange: Steps;
  compareWith: readonly string[];
  showDifference: boolean;
  isTogether: boolean;
  tolerance: number;
  tab: PanelTab;
}

/** First and last step: "120..260". */
const STEPS = /^(-?\d{1,16})\.\.(-?\d{1,16})$/;

/** The choices of an address; what it lacks or has wrong is left out. */
export function choicesFromUrl(state: UrlState): Partial<Choices> {
  const choices: Partial<Choices> = {};
  if (state.run !== undefined) choices.run = state.run;
  if (state.search) choices.runFilter = state.search;
  const runOrder = RUN_ORDERS.find(({ name }) => name === state.sort);
  if (runOrder) choices.runOrder = runOrder.name;
  const statistic = STATISTICS.find(({ name }) => name === state.statistic);
  if (statistic) choices.statistic = statistic.name;
  const axis = AXES.find(({ name }) => name === state.axis);
  if (axis) choices.axis = axis.name;
  if (state.folds) {
    choices.folds = new Map(
      listed(state.folds).map((fold) => [fold.slice(1), fold.startsWith("+")]),
    );
  }
  if (state.pinned) choices.pinned = new Set(listed(state.pinned));
  if (state.filter) choices.filter = state.filter;
  const order = ORDERS.find(({ name }) => name === state.order);
  if (order) choices.order = order.name;
  if (state.layout === "tree" || state.layout === "list") choices.layout = state.layout;
  if (state.role) choices.role = state.role;
  if (state.layer) choices.layer = state.layer;
  if (state.replicas) choices.replicas = state.replicas;
  if (state.only === "affected") choices.onlyAffected = true;
  const step = Number(state.step);
  if (state.tensor && state.step && Number.isSafeInteger(step)) {
    choices.selection = { tensor: state.tensor, step };
  }
  if (state.with) choices.compareWith = listed(state.with);
  if (state.show === "difference") choices.showDifference = true;
  if (state.arrange === "rows") choices.isTogether = true;
  const tolerance = TOLERANCES.find(({ value }) => String(value) === state.tolerance);
  if (tolerance) choices.tolerance = tolerance.value;
  const tab = PANEL_TABS.find(({ name }) => name === state.tab);
  if (tab) choices.tab = tab.name;
  if (state.curves === "off") choices.curvesShown = false;
  const visible = stepsOf(state.steps);
  if (visible) choices.range = { from: visible[0], to: visible[1] + 1 };
  const selected = stepsOf(state.range);
  if (selected) choices.selectedRange = selected;
  return choices;
}

function stepsOf(text = ""): Steps | undefined {
  const [, first, last] = (STEPS.exec(text) ?? []).map(Number);
  return first !== undefined && last !== undefined && first <= last ? [first, last] : undefined;
}

export function applyChoices(session: Session, choices: Partial<Choices>): void {
  const { rows, viewport, grids, comparisons } = session;
  batch(() => {
    if (choices.run !== undefined) session.run.value = choices.run;
    if (choices.runFilter) session.runFilter.value = choices.runFilter;
    if (choices.runOrder) session.runOrder.value = choices.runOrder;
    if (choices.statistic) grids.statistic.value = choices.statistic;
    if (choices.axis) session.axis.value = choices.axis;
    if (choices.folds) rows.folds.value = choices.folds;
    if (choices.pinned) rows.pinned.value = choices.pinned;
    if (choices.filter) rows.filter.value = choices.filter;
    if (choices.order) rows.order.value = choices.order;
    if (choices.layout) rows.chosenLayout.value = choices.layout;
    if (choices.role) rows.role.value = choices.role;
    if (choices.layer) rows.layer.value = choices.layer;
    if (choices.replicas) rows.replicas.value = choices.replicas;
    if (choices.onlyAffected) rows.onlyAffected.value = true;
    if (choices.selection) session.selection.value = choices.selection;
    if (choices.compareWith) comparisons.names.value = choices.compareWith;
    if (choices.showDifference) comparisons.showDifference.value = true;
    if (choices.isTogether) comparisons.isTogether.value = true;
    if (choices.tolerance) comparisons.tolerance.value = choices.tolerance;
    if (choices.curvesShown !== undefined) session.curvesShown.value = choices.curvesShown;
    if (choices.tab) session.chosenTab.value = choices.tab;
    if (choices.selectedRange) session.selectedRange.value = choices.selectedRange;
    if (choices.range) viewport.chosen.value = choices.range;
  });
}

export function urlStateOf(session: Session): UrlState {
  const { rows, viewport, grids, comparisons } = session;
  const selection = session.selection.value;
  const range = viewport.chosen.value;
  const tolerance = comparisons.tolerance.value;
  const state: Record<string, string | null> = {
    run: session.run.value,
    search: session.runFilter.value,
    sort: session.runOrder.value === RUN_ORDERS[0].name ? null : session.runOrder.value,
    statistic: grids.statistic.value,
    axis: session.axis.value === "step" ? null : session.axis.value,
    steps: range && `${Math.floor(range.from)}..${Math.ceil(range.to) - 1}`,
    range: session.selectedRange.value?.join("..") ?? null,
    with: list(comparisons.names.value),
    show: comparisons.showDifference.value ? "difference" : null,
    arrange: comparisons.isTogether.value ? "rows" : null,
    tolerance: tolerance === TOLERANCES[0].value ? null : String(tolerance),
    tab: session.chosenTab.value,
    curves: session.curvesShown.value ? null : "off",
    filter: rows.filter.value,
    role: rows.role.value,
    layer: rows.layer.value,
    order: rows.order.value === "model" ? null : rows.order.value,
    layout: rows.chosenLayout.value,
    replicas: rows.replicas.value === "all" ? null : rows.replicas.value,
    only: rows.onlyAffected.value ? "affected" : null,
    pinned: list(rows.pinned.value),
    folds: list([...rows.folds.value].map(([key, open]) => `${open ? "+" : "-"}${key}`)),
    tensor: selection?.tensor ?? null,
    step: selection && String(selection.step),
  };
  return Object.fromEntries(
    Object.entries(state).flatMap(([key, value]) => (value ? [[key, value]] : [])),
  );
}

/** The texts in one, separated by commas. They may contain commas themselves. */
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
