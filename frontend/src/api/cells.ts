/** Answers of `cell`, kept until the data changes: hovering back costs no request. */

import type { CellAnswer } from "../wire/answers";
import { type CellQuery, fetchCell } from "./routes";

const CAPACITY = 400;

type Fetch = (query: CellQuery, signal?: AbortSignal) => Promise<CellAnswer>;

export class CellCache {
  #answers = new Map<string, CellAnswer>();
  #fetch: Fetch;

  constructor(fetch: Fetch = fetchCell) {
    this.#fetch = fetch;
  }

  /** What is known without asking. */
  peek(query: CellQuery): CellAnswer | undefined {
    return this.#answers.get(keyOf(query));
  }

  async get(query: CellQuery, signal?: AbortSignal): Promise<CellAnswer> {
    const known = this.peek(query);
    if (known) return known;
    const answers = this.#answers;
    const answer = await this.#fetch(query, signal);
    answers.set(keyOf(query), answer);
    // A Map keeps the order of insertion, so the first key is the oldest.
    if (answers.size > CAPACITY) answers.delete(answers.keys().next().value as string);
    return answer;
  }

  /** The data has changed. What is in flight lands in the map that is thrown away here. */
  clear(): void {
    this.#answers = new Map();
  }
}

function keyOf({ run, tensor, first, last }: CellQuery): string {
  return JSON.stringify([run, tensor, first, last]);
}
