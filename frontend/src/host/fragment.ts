/**
 * The tab's state in the fragment of TensorBoard's address: `#nanwatch&p.nanwatch.run=...`.
 * TensorBoard's own message for this is empty on the first load, so the address is read directly.
 */

import { isEmbedded } from "../wire/embedded";
import { isShown } from "./visibility";

const PLUGIN = "nanwatch";
const PREFIX = `p.${PLUGIN}.`;

/** The window with the address that people see; a page in a notebook leaves the notebook's alone. */
function addressBar(): Window {
  return isEmbedded() ? window : window.parent;
}

export type UrlState = Record<string, string>;

/** Our keys of a fragment, without their prefix. */
export function parseFragment(fragment: string): UrlState {
  const state: UrlState = {};
  for (const part of parts(fragment)) {
    if (!part.startsWith(PREFIX)) continue;
    const [key = "", ...value] = part.slice(PREFIX.length).split("=");
    try {
      state[key] = decodeURIComponent(value.join("="));
    } catch {
      // A malformed escape, as in a truncated link: the rest of it is still good.
    }
  }
  return state;
}

/** The fragment with our keys replaced; undefined where another plugin's tab is shown. */
export function fragmentWith(fragment: string, state: UrlState): string | undefined {
  const others = parts(fragment).filter((part) => !part.startsWith(PREFIX));
  const shown = others.find((part) => !part.includes("="));
  if (shown !== undefined && shown !== PLUGIN) return undefined;
  if (shown === undefined) others.unshift(PLUGIN);
  const ours = Object.entries(state).map(
    ([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`,
  );
  return `#${[...others, ...ours].join("&")}`;
}

function parts(fragment: string): string[] {
  return fragment.replace(/^#/, "").split("&").filter(Boolean);
}

export function readUrlState(): UrlState {
  try {
    return parseFragment(addressBar().location.hash);
  } catch {
    return {};
  }
}

/** The address of the page with the state in it. */
export function addressWith(state: UrlState): string {
  try {
    const { href, hash } = addressBar().location;
    return href.replace(/#.*$/s, "") + (fragmentWith(hash, state) ?? hash);
  } catch {
    return window.location.href; // Framed by a page of another origin.
  }
}

/** Writes the state into the address. Another run is a new entry of the history: Back undoes it. */
export function writeUrlState(state: UrlState): void {
  if (!isShown()) return; // Another tab is: its address is not ours.
  try {
    const { history, location } = addressBar();
    const fragment = fragmentWith(location.hash, state);
    if (fragment === undefined || fragment === location.hash) return;
    const before = parseFragment(location.hash).run;
    if (before === undefined || before === state.run) {
      history.replaceState(history.state, "", fragment);
    } else history.pushState(history.state, "", fragment);
  } catch {
    // Framed by a page of another origin: nothing can be kept.
  }
}

/** Calls `callback` with the state of the address whenever Back or Forward leads to our tab. */
export function onNavigation(callback: (state: UrlState) => void): void {
  try {
    addressBar().addEventListener("popstate", () => {
      if (isShown()) callback(readUrlState());
    });
  } catch {
    // Framed by a page of another origin.
  }
}
