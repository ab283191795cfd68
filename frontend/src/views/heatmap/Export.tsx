/** What is in sight, to be shown to others: a link, a picture, numbers. */

import { useState } from "preact/hooks";
import { drawExportImage, type ExportImage, exportImageSvg } from "../../draw/export_image";
import { csvOf } from "../../model/csv";
import type { Session } from "../../state/session";
import { copyText, fileName, saveFile } from "../files";

interface ExportProps {
  session: Session;
  /** What is in sight. */
  exportImage: () => ExportImage;
}

export function Export({ session, exportImage }: ExportProps) {
  const [said, setSaid] = useState("");
  const run = session.run.value ?? "";
  const tensor = session.selectedTensor.value;
  const range = session.viewport.range.value;
  const say = (text: string) => {
    setSaid(text);
    setTimeout(() => setSaid(""), 2500);
  };
  const copyLink = async () => {
    say((await copyText(session.address())) ? "Link copied" : "The browser refused");
  };
  const savePicture = () => {
    drawExportImage(exportImage()).toBlob(
      (picture) => picture && saveFile(fileName([run], "png"), picture),
      "image/png",
    );
  };
  const saveDrawing = () => {
    const drawing = new Blob([exportImageSvg(exportImage())], { type: "image/svg+xml" });
    saveFile(fileName([run], "svg"), drawing);
  };
  const saveNumbers = async () => {
    if (!tensor || !range) return;
    try {
      const overTime = await session.selected.finest(range);
      if (!overTime) return;
      const text = new Blob([csvOf(overTime, tensor, range)], { type: "text/csv" });
      saveFile(fileName([run, tensor.role, tensor.name], "csv"), text);
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <span class="export">
      <span role="status">{said}</span>
      <button type="button" class="link" onClick={copyLink}>
        Copy link
      </button>
      <button type="button" class="link" onClick={savePicture}>
        Save PNG
      </button>
      <button type="button" class="link" onClick={saveDrawing}>
        Save SVG
      </button>
      <button
        type="button"
        class="link"
        disabled={!tensor}
        title="The selected tensor over the steps in sight"
        onClick={saveNumbers}
      >
        Save CSV
      </button>
    </span>
  );
}
