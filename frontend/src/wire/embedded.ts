/**
 * The answers that a page without a server holds (tb_nanwatch/page): for each one a script element
 * of base64 and gzip, and for all of them their keys, in the same order.
 */

type Parameters = Record<string, string | number | readonly string[] | undefined>;

/** When the page was written, as text; undefined in TensorBoard. */
export function writtenAt(): string | undefined {
  return globalThis.document?.documentElement?.dataset?.nanwatch;
}

export function isEmbedded(): boolean {
  return writtenAt() !== undefined;
}

/** What the page knows of a route: the steps and columns that were asked for are of no matter. */
export async function embeddedAnswer(
  route: string,
  { run, statistic, tensor, with: other, tolerance, first, last }: Parameters,
): Promise<Response> {
  if (route !== "cell") return answerOf([route, run, statistic ?? tensor ?? other, tolerance]);
  const details = await detailsOf(String(run));
  if (!details) return missing(MISSING);
  const column = details.columns.findIndex(
    ([from, to]) => from <= Number(first) && Number(last) <= to,
  );
  const cell = details.cells[String(tensor)]?.[column];
  return cell ? Response.json(cell) : missing(`This page has no details of step ${first}. ${TRY}`);
}

interface Details {
  /** First and last step. */
  columns: [number, number][];
  /** By the ids of tensors, in the order of the columns. */
  cells: Record<string, unknown[]>;
}

/** Parsed once: they are megabytes. */
const known = new Map<string, Promise<Details | undefined>>();

function detailsOf(run: string): Promise<Details | undefined> {
  const details = known.get(run) ?? parsedDetails(run);
  known.set(run, details);
  return details;
}

async function parsedDetails(run: string): Promise<Details | undefined> {
  const answer = await answerOf(["cells", run]);
  return answer.ok ? ((await answer.json()) as Details) : undefined;
}

const MISSING =
  "This page has a part of what was recorded, and not that. TensorBoard shows all of it.";
const TRY = "TensorBoard has them of every step; here a step near a finding has them.";

let elements: Map<string, HTMLScriptElement> | undefined;

async function answerOf(key: readonly unknown[]): Promise<Response> {
  elements ??= indexed();
  const text = elements.get(keyText(key))?.textContent;
  if (!text) return missing(MISSING);
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

function indexed(): Map<string, HTMLScriptElement> {
  const keys = JSON.parse(document.querySelector("#keys")?.textContent ?? "[]") as string[][];
  const bodies = document.querySelectorAll<HTMLScriptElement>("script[type='application/gzip']");
  return new Map(keys.map((key, at) => [keyText(key), bodies[at] as HTMLScriptElement]));
}

function keyText(key: readonly unknown[]): string {
  return JSON.stringify(key.filter((part) => part !== undefined).map(String));
}

function missing(text: string): Response {
  return new Response(text, { status: 404 });
}
