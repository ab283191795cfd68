/** Text into the clipboard, and files out of the page. */

/** The clipboard's interface exists only on secure origins; the older way works on the others. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

export function saveFile(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A file name that any system takes. */
export function fileName(parts: readonly string[], extension: string): string {
  const safe = parts
    .map((part) =>
      part
        .replace(/[^\w.-]+/g, "_")
        .replace(/^\.+/, "")
        .slice(-60),
    )
    .filter(Boolean);
  return `${safe.join("-") || "nanwatch"}.${extension}`;
}
