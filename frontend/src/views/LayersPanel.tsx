/** One row a layer: how large it is, how it learns, how far it is from trouble. */

import type { Signal } from "@preact/signals";
import {
  concernOf,
  headroomTitle,
  LAYER_COLUMNS,
  type LayerOrder,
  layersInOrder,
  layerTexts,
  nextOrder,
  sparkline,
} from "../model/layers";
import { visibleName, wholeName } from "../model/names";
import type { Resource } from "../state/resource";
import type { LayerSummary, LayersAnswer } from "../wire/answers";
import { Failure, Loading } from "./notices";

const SPARKLINE = { width: 72, height: 18 };

interface LayersPanelProps {
  answer: Resource<LayersAnswer>;
  order: Signal<LayerOrder>;
  /** Path of the layer whose rows alone the heatmap shows. */
  shown: string | null;
  /** Shows the rows of one layer; null for all. */
  onShow: (path: string | null) => void;
  onRetry: () => void;
}

export function LayersPanel({ answer, order, shown, onShow, onRetry }: LayersPanelProps) {
  const layers = answer.value.value?.layers;
  const error = answer.error.value;
  if (!layers) {
    if (error) return <Failure what="The table of layers" message={error} onRetry={onRetry} />;
    return <Loading text="Loading layers…" />;
  }
  if (layers.length === 0) {
    return <p class="nothing">No recorded tensor belongs to a layer.</p>;
  }
  // Of a healthy run nothing would stand in it.
  const hasTrouble = layers.some(({ first_trouble }) => first_trouble);
  const columns = LAYER_COLUMNS.filter(({ name }) => name !== "trouble" || hasTrouble);
  const isMixed = layers.some((layer) => hasGradientNumbers(layer));
  return (
    <>
      <table class="layer-table" aria-busy={answer.loading.value}>
        <caption class="unseen">Layers; a click on one filters the heatmap</caption>
        <thead>
          <tr>
            {columns.map(({ name, label, title }) => {
              const isSorted = order.value.column === name;
              const direction = order.value.descending ? "descending" : "ascending";
              return (
                <th
                  key={name}
                  scope="col"
                  aria-sort={isSorted ? direction : "none"}
                  class={name === "path" ? name : ""}
                >
                  <button
                    type="button"
                    title={title}
                    onClick={() => {
                      order.value = nextOrder(order.value, name);
                    }}
                  >
                    {label}
                    {isSorted && name !== "path" && (
                      <i aria-hidden="true">{order.value.descending ? "↓" : "↑"}</i>
                    )}
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {layersInOrder(layers, order.value).map((layer) => (
            <LayerLine
              key={layer.path}
              layer={layer}
              isShown={layer.path === shown}
              hasTrouble={hasTrouble}
              onShow={onShow}
            />
          ))}
        </tbody>
      </table>
      {isMixed && (
        <p class="layers-note">
          g: of gradients, where no updates or activations are recorded. Click a layer to see its
          rows alone.
        </p>
      )}
    </>
  );
}

function hasGradientNumbers({ ratio_role, zero_role }: LayerSummary): boolean {
  return ratio_role === "gradient" || zero_role === "gradient";
}

interface LayerLineProps {
  layer: LayerSummary;
  isShown: boolean;
  /** There is a column of troubles. */
  hasTrouble: boolean;
  onShow: (path: string | null) => void;
}

function LayerLine({ layer, isShown, hasTrouble, onShow }: LayerLineProps) {
  const texts = layerTexts(layer);
  const show = () => onShow(isShown ? null : layer.path);
  return (
    <tr class={isShown ? "shown-layer" : ""} onClick={show}>
      <th scope="row" title={wholeName(layer.path)}>
        <button type="button" class="link" aria-pressed={isShown}>
          {visibleName(shortPath(layer.path))}
        </button>
        {layer.class_name && <span class="class-name">{visibleName(layer.class_name)}</span>}
      </th>
      <td>{texts.parameters}</td>
      <td class="gradient">
        <svg {...SPARKLINE} aria-hidden="true">
          <path d={sparkline(layer.gradient_rms, SPARKLINE.width, SPARKLINE.height)} />
        </svg>
        <span>{texts.gradient}</span>
      </td>
      <td class={concernOf(layer, "ratio")}>{texts.ratio}</td>
      <td class={concernOf(layer, "zeros")}>{texts.zeros}</td>
      <td class={concernOf(layer, "headroom")} title={headroomTitle(layer)}>
        {texts.headroom}
      </td>
      {hasTrouble && (
        <td class={concernOf(layer, "trouble")} title={troubleTitle(layer)}>
          {texts.trouble}
        </td>
      )}
    </tr>
  );
}

/** The end of a path tells layers apart. */
function shortPath(path: string): string {
  return path.split("/").slice(-2).join("/");
}

function troubleTitle({ first_trouble }: LayerSummary): string {
  if (!first_trouble) return "";
  const { step, cause } = first_trouble;
  return cause === "nonfinite" ? `First NaN or Inf at step ${step}` : `${cause} at step ${step}`;
}
