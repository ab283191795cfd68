/** The panel beside the heatmap: one of its tabs at a time. */

import type { ComponentChildren } from "preact";
import { PANEL_TABS, type PanelTab } from "../model/panel";

interface PanelProps {
  tab: PanelTab;
  onChoose: (tab: PanelTab) => void;
  /** What each tab shows. The details stay mounted, so that what they drew is there at once. */
  why: ComponentChildren;
  details: ComponentChildren;
  layers: () => ComponentChildren;
}

export function Panel({ tab, onChoose, why, details, layers }: PanelProps) {
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = PANEL_TABS.findIndex(({ name }) => name === tab);
    const next = PANEL_TABS[(at + step + PANEL_TABS.length) % PANEL_TABS.length];
    if (!next) return;
    event.preventDefault();
    onChoose(next.name);
    document.getElementById(`tab-${next.name}`)?.focus();
  };
  return (
    <section class="panel" aria-label="Explanation, tensor and layers">
      <div class="panel-tabs" role="tablist" onKeyDown={move}>
        {PANEL_TABS.map(({ name, label }) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={name === tab}
            aria-controls={`panel-${name}`}
            tabIndex={name === tab ? 0 : -1}
            onClick={() => onChoose(name)}
          >
            {label}
          </button>
        ))}
      </div>
      <TabPanel name="why" tab={tab}>
        {why}
      </TabPanel>
      <TabPanel name="tensor" tab={tab}>
        {details}
      </TabPanel>
      <TabPanel name="layers" tab={tab}>
        {tab === "layers" && layers()}
      </TabPanel>
    </section>
  );
}

interface TabPanelProps {
  name: PanelTab;
  tab: PanelTab;
  children: ComponentChildren;
}

function TabPanel({ name, tab, children }: TabPanelProps) {
  return (
    <div
      class="tab-panel"
      role="tabpanel"
      id={`panel-${name}`}
      aria-labelledby={`tab-${name}`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls by keys.
      tabIndex={0}
      hidden={name !== tab}
    >
      {children}
    </div>
  );
}
