/** The visible heatmap to share with others: a link, an image, numbers. */

import { useState } from "preact/hooks";
import { drawExportImage, type ExportImage, exportImageSvg } from "../../draw/export_image";
import { csvOf } from "../../model/csv";
import type { Range } from "../../model/range";
import type { Tensor } from "../../wire/answers";
import type { Spectrogram } from "../../wire/spectrogram";
import { copyText, fileName, saveFile } from "../files";

interface ExportProps {
  run: string;
  /** The selected tensor. */
  tensor: Tensor | undefined;
  /** The visible steps. */
  range: Range | null;
  image: () => ExportImage;
  addressOf: () => string;
  /** Loads the selected tensor as fine as the server has it. */
  loadFinest: (range: Range) => Promise<Spectrogram | undefined>;
}

export function Export({ run, tensor, range, image, addressOf, loadFinest }: ExportProps) {
  const [message, setMessage] = useState("");
  const show = (text: string) => {
    setMessage(text);
    setTimeout(() => setMessage(""), 2500);
  };
  const copyLink = async () => {
    show((await copyText(addressOf())) ? "Link copied" : "Could not copy");
  };
  const savePng = () => {
    drawExportImage(image()).toBlob(
      (png) => png && saveFile(fileName([run], "png"), png),
      "image/png",
    );
  };
  const saveSvg = () => {
    const svg = new Blob([exportImageSvg(image())], { type: "image/svg+xml" });
    saveFile(fileName([run], "svg"), svg);
  };
  const saveCsv = async () => {
    if (!tensor || !range) return;
    try {
      const spectrogram = await loadFinest(range);
      if (!spectrogram) return;
      const csv = new Blob([csvOf(spectrogram, tensor, range)], { type: "text/csv" });
      saveFile(fileName([run, tensor.role, tensor.name], "csv"), csv);
    } catch (error) {
      show(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <span class="export">
      <span role="status">{message}</span>
      <button type="button" class="link" onClick={copyLink}>
        Copy link
      </button>
      <button type="button" class="link" onClick={savePng}>
        Save PNG
      </button>
      <button type="button" class="link" onClick={saveSvg}>
        Save SVG
      </button>
      <button
        type="button"
        class="link"
        disabled={!tensor}
        title="The selected tensor over the visible steps"
        onClick={saveCsv}
      >
        Save CSV
      </button>
    </span>
  );
}
