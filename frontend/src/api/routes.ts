/** The routes of the backend, one function each. */

import type {
  AxisName,
  CellAnswer,
  ComparisonAnswer,
  FindingsAnswer,
  LayersAnswer,
  RunDetail,
  RunSummary,
} from "../wire/answers";
import { decodeGrid, type Grid } from "../wire/grid";
import { decodeSpectrogram, type Spectrogram } from "../wire/spectrogram";
import { get } from "./request";

export async function fetchRuns(signal?: AbortSignal): Promise<RunSummary[]> {
  const answer = (await (await get("runs", {}, signal)).json()) as { runs: RunSummary[] };
  return answer.runs;
}

/** The log directory that TensorBoard reads; its own route, relative to ours. */
export async function fetchLogDirectory(signal?: AbortSignal): Promise<string> {
  const environment = (await (await get("../../environment", {}, signal)).json()) as {
    data_location?: string;
  };
  return environment.data_location ?? "";
}

export async function fetchRun(run: string, signal?: AbortSignal): Promise<RunDetail> {
  return (await (await get("run", { run }, signal)).json()) as RunDetail;
}

export async function fetchFindings(run: string, signal?: AbortSignal): Promise<FindingsAnswer> {
  return (await (await get("findings", { run }, signal)).json()) as FindingsAnswer;
}

export async function fetchLayers(run: string, signal?: AbortSignal): Promise<LayersAnswer> {
  return (await (await get("layers", { run }, signal)).json()) as LayersAnswer;
}

export interface ComparisonQuery {
  run: string;
  with: string;
  /** Relative difference of norms from which the runs count as different. */
  tolerance: number;
}

export async function fetchComparison(
  query: ComparisonQuery,
  signal?: AbortSignal,
): Promise<ComparisonAnswer> {
  return (await (await get("compare", { ...query }, signal)).json()) as ComparisonAnswer;
}

export interface GridQuery {
  run: string;
  statistic: string;
  /** Every role where there is none. */
  role?: readonly string[];
  /** A closed range of steps. */
  first: number;
  last: number;
  /** The most columns wanted. */
  columns: number;
  /** The axis on which they have equal widths. */
  axis: AxisName;
}

/** The server's own bound. */
export const MOST_COLUMNS = 4096;

export async function fetchGrid(query: GridQuery, signal?: AbortSignal): Promise<Grid> {
  return decodeGrid(await (await get("grid", { ...query }, signal)).arrayBuffer());
}

export interface CellQuery {
  run: string;
  tensor: string;
  first: number;
  last: number;
}

export async function fetchCell(query: CellQuery, signal?: AbortSignal): Promise<CellAnswer> {
  return (await (await get("cell", { ...query }, signal)).json()) as CellAnswer;
}

export interface SpectrogramQuery extends CellQuery {
  /** As in a grid query. */
  columns: number;
  axis: AxisName;
}

export async function fetchSpectrogram(
  query: SpectrogramQuery,
  signal?: AbortSignal,
): Promise<Spectrogram> {
  return decodeSpectrogram(await (await get("spectrogram", { ...query }, signal)).arrayBuffer());
}
