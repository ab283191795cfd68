/** Which rows are shown, in which order, and which of them are folded. */

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type Lane, lanesOf } from "../model/lanes";
import { affectedTensors, filterOf, inOrder, isOfLayer, type Order } from "../model/rows";
import { type Group, groupsAround, openDepth } from "../model/tree";
import type { Finding, Tensor } from "../wire/answers";
import type { Grid } from "../wire/grid";

/** More tensors than these are grouped by path at first. */
const LONG_LIST = 60;
/** At most this many lines are open at first. */
const OPEN_LINES = 60;

export type Layout = "tree" | "list";

export class Rows {
  readonly filter = signal("");
  readonly order = signal<Order>("model");
  readonly onlyAffected = signal(false);
  /** The one role that is shown; null for all. */
  readonly role = signal<string | null>(null);
  /** The path of the one layer whose tensors are shown; null for all. */
  readonly layer = signal<string | null>(null);
  /** How replicas are shown: "all", "separate", "merged", or "only " and the name of one. */
  readonly replicas = signal("all");
  readonly workers = computed(() =>
    [...new Set(this.tensors.value.map(({ worker }) => worker))].filter(Boolean),
  );
  /** The chosen layout; null for the one that fits the run. */
  readonly chosenLayout = signal<Layout | null>(null);
  /** Ids of tensors. */
  readonly pinned = signal<ReadonlySet<string>>(new Set());
  /** Lanes and groups that were opened (true) or closed, by their keys. */
  readonly folds = signal<ReadonlyMap<string, boolean>>(new Map());

  readonly parsed = computed(() => filterOf(this.filter.value));
  readonly layout = computed(
    (): Layout =>
      this.chosenLayout.value ?? (this.tensors.value.length > LONG_LIST ? "tree" : "list"),
  );
  readonly shown = computed((): readonly Tensor[] => {
    const parsed = this.parsed.value;
    const role = this.role.value;
    const layer = this.layer.value;
    const one = this.workers.value.find((worker) => `only ${worker}` === this.replicas.value);
    const affected =
      this.onlyAffected.value && affectedTensors(this.tensors.value, this.findings.value);
    return this.tensors.value.filter(
      (tensor) =>
        this.pinned.value.has(tensor.id) ||
        ((parsed.kind !== "matches" || parsed.test(tensor)) &&
          (role === null || tensor.role === role) &&
          (layer === null || isOfLayer(tensor, layer)) &&
          (!one || !tensor.worker || tensor.worker === one) &&
          (!affected || affected.has(tensor.id))),
    );
  });
  readonly lanes = computed((): Lane[] => {
    const order = this.order.value;
    // The grid changes far more often than anything that asks for it.
    const grid = order === "largest" ? this.grid.value : undefined;
    const tree = this.layout.value === "tree" && order === "model";
    return lanesOf(inOrder(this.shown.value, order, grid), {
      ...{ tree, pinned: this.pinned.value },
      replicas:
        this.replicas.value === "separate" || this.replicas.value === "merged"
          ? this.replicas.value
          : "all",
    });
  });
  readonly #openDepth = computed(() => {
    // A match of a filter is never hidden in a closed group.
    if (this.parsed.value.kind === "matches" || this.onlyAffected.value) return Number.MAX_VALUE;
    return openDepth(
      this.lanes.value.map(({ members }) => members),
      OPEN_LINES,
    );
  });

  constructor(
    readonly tensors: ReadonlySignal<readonly Tensor[]>,
    readonly findings: ReadonlySignal<readonly Finding[]>,
    readonly grid: ReadonlySignal<Grid | undefined>,
  ) {}

  isOpen(item: Lane | Group): boolean {
    const chosen = this.folds.value.get(item.key);
    return chosen ?? (!("depth" in item) || (!item.merged && item.depth < this.#openDepth.value));
  }

  toggle(item: Lane | Group): void {
    this.folds.value = new Map(this.folds.value).set(item.key, !this.isOpen(item));
  }

  togglePin(tensor: string): void {
    const pinned = new Set(this.pinned.value);
    if (!pinned.delete(tensor)) pinned.add(tensor);
    this.pinned.value = pinned;
  }

  /** Opens the groups around a tensor, and drops the filters that hide it. */
  reveal(tensor: string): void {
    if (!this.shown.value.some(({ id }) => id === tensor)) this.showAll();
    const lane = this.lanes.value.find(({ tensors }) => tensors.some(({ id }) => id === tensor));
    if (!lane) return;
    const around = groupsAround(lane.members, tensor) ?? [];
    for (const item of [lane, ...around]) if (!this.isOpen(item)) this.toggle(item);
  }

  /** Opens the outermost closed group around a tensor; closes the innermost where all are open. */
  toggleAround(tensor: string): void {
    const lane = this.lanes.value.find(({ tensors }) => tensors.some(({ id }) => id === tensor));
    if (!lane) return;
    const around = [lane, ...(groupsAround(lane.members, tensor) ?? [])];
    const item = around.find((one) => !this.isOpen(one)) ?? around.at(-1);
    if (item) this.toggle(item);
  }

  showAll(): void {
    this.filter.value = "";
    this.role.value = null;
    this.layer.value = null;
    if (this.replicas.value.startsWith("only ")) this.replicas.value = "all";
    this.onlyAffected.value = false;
  }
}
