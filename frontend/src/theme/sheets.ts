/** The style sheets, adopted by the document: the page may load nothing from elsewhere. */

import { effect, type ReadonlySignal } from "@preact/signals";
import base from "./base.css?inline";
import { customProperties, DARK, type Theme } from "./colours";
import details from "./details.css?inline";
import heatmap from "./heatmap.css?inline";
import layout from "./layout.css?inline";
import notices from "./notices.css?inline";

export function adoptSheets(theme: ReadonlySignal<Theme>): void {
  const fixed = new CSSStyleSheet();
  fixed.replaceSync([base, layout, heatmap, details, notices].join("\n"));
  const colours = new CSSStyleSheet();
  document.adoptedStyleSheets = [colours, fixed];
  effect(() => {
    const scheme = theme.value === DARK ? "dark" : "light";
    colours.replaceSync(`:root{color-scheme:${scheme};${customProperties(theme.value)}}`);
  });
}
