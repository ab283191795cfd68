/** The table of layers: its columns, their texts, and the order of its lines. */

import { type LayerSummary, numberFromWire } from "../wire/answers";
import { formatFactor } from "./departure";
import { formatCount, formatNumber, formatShortPercent } from "./numbers";

export const LAYER_COLUMNS = [
  { name: "path", label: "Layer", title: "In the order of execution" },
  { name: "parameters", label: "Params", title: "Elements of the layer's variables" },
  {
    name: "gradient",
    label: "Gradient RMS",
    title: "Root mean square of the layer's gradients, log scale; the number is the last one",
  },
  {
    name: "ratio",
    label: "Upd / wt",
    title:
      "Median norm of the update relative to the weights, around 1e-3 is usual; g: of the gradient",
  },
  {
    name: "zeros",
    label: "% zeros",
    title: "Exact zeros among the layer's activations; g: among its gradients",
  },
  {
    name: "headroom",
    label: "Headroom",
    title: "Decades from the largest value to the largest number of its dtype",
  },
  { name: "trouble", label: "Trouble", title: "First NaN or Inf, or finding, by step" },
] as const;

export type LayerColumn = (typeof LAYER_COLUMNS)[number]["name"];

export interface LayerOrder {
  column: LayerColumn;
  descending: boolean;
}

/** What a click on a column's head orders by: the worst first, then the other way round. */
export function nextOrder(order: LayerOrder, column: LayerColumn): LayerOrder {
  const descending =
    column === "parameters" || column === "gradient" || column === "ratio" || column === "zeros";
  return order.column === column
    ? { column, descending: !order.descending }
    : { column, descending };
}

/** The layers in an order; those without the number come last. */
export function layersInOrder(
  layers: readonly LayerSummary[],
  { column, descending }: LayerOrder,
): LayerSummary[] {
  const keyed = layers.map((layer, index) => ({ layer, key: keyOf(layer, index, column) }));
  const known = keyed.filter(({ key }) => !Number.isNaN(key));
  const sign = descending ? -1 : 1;
  known.sort((a, b) => (a.key === b.key ? 0 : sign * (a.key < b.key ? -1 : 1)));
  return [...known, ...keyed.filter(({ key }) => Number.isNaN(key))].map(({ layer }) => layer);
}

function keyOf(layer: LayerSummary, index: number, column: LayerColumn): number {
  const keys: Record<LayerColumn, number> = {
    path: index,
    parameters: layer.parameters ?? Number.NaN,
    gradient: lastRms(layer) ?? Number.NaN,
    ratio: numberFromWire(layer.ratio),
    zeros: numberFromWire(layer.zero_share),
    headroom: numberFromWire(layer.headroom),
    trouble: layer.first_trouble?.step ?? Number.NaN,
  };
  return keys[column];
}

/** The gradient RMS of the last column that has one. */
export function lastRms({ gradient_rms }: LayerSummary): number | undefined {
  return gradient_rms.findLast((value) => value !== null) ?? undefined;
}

const NONE = "–";

/** The texts of a line's numbers. */
export function layerTexts(layer: LayerSummary): Record<Exclude<LayerColumn, "path">, string> {
  const number = (value: LayerSummary["ratio"], format: (value: number) => string) =>
    value === null ? NONE : format(numberFromWire(value));
  const marked = (text: string, role: string) =>
    role === "gradient" && text !== NONE ? `${text} g` : text;
  const rms = lastRms(layer);
  return {
    parameters: layer.parameters === null ? NONE : formatCount(layer.parameters),
    gradient: rms === undefined ? NONE : shortNumber(rms),
    ratio: marked(number(layer.ratio, shortNumber), layer.ratio_role),
    zeros: marked(number(layer.zero_share, formatShortPercent), layer.zero_role),
    headroom: number(layer.headroom, (left) => (Number.isFinite(left) ? left.toFixed(1) : "∞")),
    trouble: layer.first_trouble ? formatCount(layer.first_trouble.step) : NONE,
  };
}

function shortNumber(value: number): string {
  return formatNumber(Number(value.toPrecision(2)));
}

/** The path of a sparkline within a box, on a log scale; a gap where nothing was recorded. */
export function sparkline(
  values: readonly (number | null)[],
  width: number,
  height: number,
): string {
  const logs = values.map((value) =>
    value !== null && value > 0 ? Math.log10(value) : Number.NaN,
  );
  const known = logs.filter((log) => !Number.isNaN(log));
  if (known.length === 0) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const middle = (low + high) / 2;
  // What varies by less than a decade is drawn as calm as it is.
  const span = Math.max(1, high - low);
  let path = "";
  let isDrawing = false;
  logs.forEach((log, index) => {
    if (Number.isNaN(log)) {
      isDrawing = false;
      return;
    }
    const x = ((index + 0.5) / logs.length) * width;
    const y = height / 2 - ((log - middle) / span) * (height - 2);
    path += `${isDrawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDrawing = true;
  });
  return path;
}

/** What of a number is a reason to look: "severe", "doubtful" or "". */
export function concernOf(layer: LayerSummary, column: LayerColumn): "" | "doubtful" | "severe" {
  const [ratio, zeros, left] = [layer.ratio, layer.zero_share, layer.headroom].map(
    numberFromWire,
  ) as [number, number, number];
  if (column === "headroom" && left < 1) return "severe";
  if (column === "headroom" && left < 2) return "doubtful";
  if (column === "zeros" && zeros >= 0.999) return "severe";
  if (column === "ratio" && layer.ratio_role === "update" && (ratio > 0.1 || ratio < 1e-6))
    return "doubtful";
  if (column === "trouble" && layer.first_trouble)
    return layer.first_trouble.cause === "nonfinite" ? "severe" : "doubtful";
  return "";
}

/** "could grow 1,200x before it overflows", for a tooltip. */
export function headroomTitle({ headroom }: LayerSummary): string {
  const left = numberFromWire(headroom);
  if (Number.isNaN(left)) return "";
  return Number.isFinite(left)
    ? `The largest value could grow ${formatFactor(left)} before it overflows`
    : "All values are zero";
}
