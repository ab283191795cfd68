/** Answers kept until the data changes, the least recently used dropped first. */

import type { CellAnswer } from "../wire/answers";
import type { Grid } from "../wire/grid";
import type { Spectrogram } from "../wire/spectrogram";
import { type Query, queryText } from "./request";
import {
  type CellQuery,
  fetchCell,
  fetchGrid,
  fetchSpectrogram,
  type GridQuery,
  type SpectrogramQuery,
} from "./routes";

type Fetch<Asked, Answer> = (query: Asked, signal?: AbortSignal) => Promise<Answer>;

export class AnswerCache<Asked extends object, Answer> {
  #answers = new Map<string, Answer>();
  #weight = 0;

  /** Keeps answers up to a total weight of `capacity`, and always the newest one. */
  constructor(
    readonly fetch: Fetch<Asked, Answer>,
    readonly capacity: number,
    readonly weigh: (answer: Answer) => number = () => 1,
  ) {}

  /** The answer if it is cached. */
  peek(query: Asked): Answer | undefined {
    return this.#answers.get(keyOf(query));
  }

  async get(query: Asked, signal?: AbortSignal): Promise<Answer> {
    const answers = this.#answers;
    const key = keyOf(query);
    const known = answers.get(key);
    if (known !== undefined) {
      answers.delete(key);
      answers.set(key, known);
      return known;
    }
    const answer = await this.fetch(query, signal);
    // An answer that was under way when the data changed lands in the discarded map.
    if (answers === this.#answers && !answers.has(key)) this.#keep(key, answer);
    return answer;
  }

  /** The data has changed. */
  clear(): void {
    this.#answers = new Map();
    this.#weight = 0;
  }

  #keep(key: string, answer: Answer): void {
    this.#answers.set(key, answer);
    this.#weight += this.weigh(answer);
    // A Map keeps the order of insertion, so the first key is the oldest.
    for (const [oldest, dropped] of this.#answers) {
      if (this.#weight <= this.capacity || oldest === key) break;
      this.#answers.delete(oldest);
      this.#weight -= this.weigh(dropped);
    }
  }
}

function keyOf(query: object): string {
  return queryText({ ...query } as Query);
}

const CELLS = 400;
const GRID_BYTES = 64e6;
const SPECTROGRAMS = 60;

export type CellCache = AnswerCache<CellQuery, CellAnswer>;
export type GridCache = AnswerCache<GridQuery, Grid>;
export type SpectrogramCache = AnswerCache<SpectrogramQuery, Spectrogram>;

export function cellCache(fetch: Fetch<CellQuery, CellAnswer> = fetchCell): CellCache {
  return new AnswerCache(fetch, CELLS);
}

/** Hovering back, zooming out again and panning to a neighbor cost no request. */
export function gridCache(fetch: Fetch<GridQuery, Grid> = fetchGrid): GridCache {
  return new AnswerCache(
    fetch,
    GRID_BYTES,
    ({ value, flags }) => value.byteLength + flags.byteLength,
  );
}

export function spectrogramCache(): SpectrogramCache {
  return new AnswerCache(fetchSpectrogram, SPECTROGRAMS);
}
