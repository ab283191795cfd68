/** One GET to our own backend. Addresses are relative, so any path prefix works. */

import { embeddedAnswer, isEmbedded } from "../wire/embedded";

/** The server answered with an error, or not at all; the message can be shown as it is. */
export class ServerError extends Error {
  override name = "ServerError";
}

/** Values of a query: undefined ones are left out, arrays are repeated. */
export type Query = Record<string, string | number | readonly string[] | undefined>;

/** The query as an address has it. Equal queries have equal texts, whatever the order of their keys. */
export function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) parameters.append(key, String(item));
  }
  parameters.sort();
  return parameters.toString();
}

export async function get(route: string, query: Query, signal?: AbortSignal): Promise<Response> {
  const answer = isEmbedded() ? embeddedAnswer(route, query) : askServer(route, query, signal);
  const response = await answer;
  if (!response.ok) {
    throw new ServerError(errorSentence(await response.text(), response.status));
  }
  return response;
}

async function askServer(route: string, query: Query, signal?: AbortSignal): Promise<Response> {
  const text = queryText(query);
  try {
    return await fetch(`./${route}${text ? `?${text}` : ""}`, signal ? { signal } : {});
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ServerError("TensorBoard is not responding. Is it still running?");
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** The `error` of the body; the body itself where something other than our backend answered. */
export function errorSentence(body: string, status: number): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "error" in parsed) {
      return String(parsed.error);
    }
  } catch {
    // Not our JSON: the page of a proxy, or a text of TensorBoard.
  }
  return body.trim().slice(0, 500) || `The server answered with status ${status}.`;
}
