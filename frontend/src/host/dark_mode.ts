/** Whether TensorBoard is in dark mode: its page then has a class on its body. Notebooks are dark
 * where their ground is. */

import { isEmbedded } from "../wire/embedded";

const DARK_CLASS = "dark-mode";

/** Calls `onChange` now and at each change. */
export function watchDarkMode(onChange: (dark: boolean) => void): void {
  const body = hostBody();
  if (body && isEmbedded()) {
    const ground = getComputedStyle(body).backgroundColor;
    const channels = ground.match(/\d+(\.\d+)?/g)?.map(Number);
    // A ground that lets through says nothing.
    if (channels && channels[3] !== 0) {
      const [red = 0, green = 0, blue = 0] = channels;
      onChange(red + green + blue < 3 * 128);
      return;
    }
  } else if (body) {
    const notify = () => onChange(body.classList.contains(DARK_CLASS));
    new MutationObserver(notify).observe(body, { attributes: true, attributeFilter: ["class"] });
    notify();
    return;
  }
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", () => onChange(preference.matches));
  onChange(preference.matches);
}

function hostBody(): HTMLElement | undefined {
  try {
    return window.parent === window ? undefined : window.parent.document.body;
  } catch {
    return undefined; // Framed by a page of another origin.
  }
}
