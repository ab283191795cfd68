/** The tabs of the panel beside the heatmap. */

export const PANEL_TABS = [
  { name: "why", label: "Why and fix" },
  { name: "tensor", label: "Tensor" },
  { name: "layers", label: "Layers" },
] as const;

export type PanelTab = (typeof PANEL_TABS)[number]["name"];
