/**
 * What the tab keeps in the fragment of TensorBoard's address: `#nanwatch&p.nanwatch.run=...`.
 * TensorBoard's own message for this is empty on the first load, so the address is read directly.
 */

import { isShown } from "./visibility";

const PLUGIN = "nanwatch";
const PREFIX = `p.${PLUGIN}.`;

export type UrlState = Record<string, string>;

/** Our keys of a fragment, without their prefix. */
export function parseFragment(fragment: string): UrlState {
  const kept: UrlState = {};
  for (const part of parts(fragment)) {
    if (!part.startsWith(PREFIX)) continue;
    const [key = "", ...value] = part.slice(PREFIX.length).split("=");
    try {
      kept[key] = decodeURIComponent(value.join("="));
    } catch {
      // A malformed escape: a truncated link. The rest of it still holds.
    }
  }
  return kept;
}

/** The fragment with our keys replaced; undefined where another plugin's tab is shown. */
export function fragmentWith(fragment: string, kept: UrlState): string | undefined {
  const others = parts(fragment).filter((part) => !part.startsWith(PREFIX));
  const shown = others.find((part) => !part.includes("="));
  if (shown !== undefined && shown !== PLUGIN) return undefined;
  if (shown === undefined) others.unshift(PLUGIN);
  const ours = Object.entries(kept).map(
    ([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`,
  );
  return `#${[...others, ...ours].join("&")}`;
}

function parts(fragment: string): string[] {
  return fragment.replace(/^#/, "").split("&").filter(Boolean);
}

export function readUrlState(): UrlState {
  try {
    return parseFragment(window.parent.location.hash);
  } catch {
    return {};
  }
}

/** The address of the page with all that is kept in it. */
export function addressWith(kept: UrlState): string {
  try {
    const { href, hash } = window.parent.location;
    return href.replace(/#.*$/s, "") + (fragmentWith(hash, kept) ?? hash);
  } catch {
    return window.location.href; // Framed by a page of another origin.
  }
}

export function writeUrlState(kept: UrlState): void {
  if (!isShown()) return; // Another tab is: its address is not ours.
  try {
    const { history, location } = window.parent;
    const fragment = fragmentWith(location.hash, kept);
    if (fragment !== undefined && fragment !== location.hash) {
      history.replaceState(history.state, "", fragment);
    }
  } catch {
    // Framed by a page of another origin: nothing is kept.
  }
}
