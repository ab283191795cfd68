/** The visible heatmap to share with others: a link, an image, numbers. */

import { useState } from "preact/hooks";
import { drawExportImage, type ExportImage, exportImageSvg } from "../../draw/export_image";
import { csvOf } from "../../model/csv";
import type { Range } from "../../model/range";
import type { Tensor } from "../../wire/answers";
import type { Spectrogram } from "../../wire/spectrogram";
import { copyText, fileName, saveFile } from "../files";
import { Menu } from "../Menu";

interface ExportProps {
  run: string;
  /** The selected tensor. */
  tensor: Tensor | undefined;
  /** The visible steps. */
  range: Range | null;
  /** Undefined before the heatmap is drawn. */
  image: () => ExportImage | undefined;
  addressOf: () => string;
  /** The open finding as Markdown; undefined for none. */
  issue: string | undefined;
  /** Loads the selected tensor as fine as the server has it. */
  loadFinest: (range: Range) => Promise<Spectrogram | undefined>;
}

export function Export({ run, tensor, range, image, addressOf, issue, loadFinest }: ExportProps) {
  const [message, setMessage] = useState("");
  const show = (text: string) => {
    setMessage(text);
    setTimeout(() => setMessage(""), 2500);
  };
  const copyLink = async () => {
    show((await copyText(addressOf())) ? "Link copied" : "Could not copy");
  };
  const copyIssue = async () => {
    if (issue) show((await copyText(issue)) ? "Issue copied" : "Could not copy");
  };
  const savePng = () => {
    const picture = image();
    if (!picture) return;
    drawExportImage(picture).toBlob(
      (png) => png && saveFile(fileName([run], "png"), png),
      "image/png",
    );
  };
  const saveSvg = () => {
    const picture = image();
    if (!picture) return;
    const svg = new Blob([exportImageSvg(picture)], { type: "image/svg+xml" });
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
    <Menu label="Share" align="right">
      <span role="status">{message}</span>
      <button type="button" onClick={copyLink}>
        Copy link
      </button>
      <button
        type="button"
        disabled={!issue}
        title="The finding as Markdown: verdict, code, operands, versions"
        onClick={copyIssue}
      >
        Copy as issue
      </button>
      <button type="button" onClick={savePng}>
        Save PNG
      </button>
      <button type="button" onClick={saveSvg}>
        Save SVG
      </button>
      <button
        type="button"
        disabled={!tensor}
        title="The selected tensor over the visible steps"
        onClick={saveCsv}
      >
        Save CSV
      </button>
    </Menu>
  );
}
