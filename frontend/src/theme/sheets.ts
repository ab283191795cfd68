/** The style sheets, adopted by the document: the page may load nothing from elsewhere. */

import { effect, type ReadonlySignal } from "@preact/signals";
import base from "./base.css?inline";
import { customProperties, DARK, type Theme } from "./colors";
import comparison from "./comparison.css?inline";
import details from "./details.css?inline";
import findings from "./findings.css?inline";
import heatmap from "./heatmap.css?inline";
import layers from "./layers.css?inline";
import layout from "./layout.css?inline";
import narrow from "./narrow.css?inline";
import notices from "./notices.css?inline";
import overlays from "./overlays.css?inline";
import rows from "./rows.css?inline";
import toolbar from "./toolbar.css?inline";

/** `narrow` overrides the sheets before it. */
const SHEETS = [
  ...[base, layout, findings, toolbar, narrow],
  ...[heatmap, rows, overlays, comparison, details, layers, notices],
];

export function adoptSheets(theme: ReadonlySignal<Theme>): void {
  const fixed = new CSSStyleSheet();
  fixed.replaceSync(SHEETS.join("\n"));
  const colors = new CSSStyleSheet();
  document.adoptedStyleSheets = [colors, fixed];
  effect(() => {
    const scheme = theme.value === DARK ? "dark" : "light";
    colors.replaceSync(`:root{color-scheme:${scheme};${customProperties(theme.value)}}`);
  });
}
