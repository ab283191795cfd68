/** Code with a button that copies it. */

import { useState } from "preact/hooks";
import { copyText } from "./files";

const SHOWN_MS = 2500;

interface CodeBlockProps {
  /** What the code does, above it. */
  title?: string;
  code: string;
}

export function CodeBlock({ title, code }: CodeBlockProps) {
  const button = <CopyButton text={code} what={title} />;
  return (
    <figure class={`code-block ${title ? "" : "untitled"}`}>
      {title ? (
        <figcaption>
          {title}
          {button}
        </figcaption>
      ) : (
        button
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways by keys. */}
      <pre tabIndex={0}>
        <code>{code}</code>
      </pre>
    </figure>
  );
}

interface CopyButtonProps {
  text: string;
  /** What is copied, for a screen reader. */
  what?: string | undefined;
  /** The label of the button at rest. */
  label?: string;
}

export function CopyButton({ text, what, label = "Copy" }: CopyButtonProps) {
  const [result, setResult] = useState("");
  const copy = async () => {
    setResult((await copyText(text)) ? "Copied" : "Could not copy");
    setTimeout(() => setResult(""), SHOWN_MS);
  };
  const shown = result || label;
  return (
    <button
      type="button"
      class="copy"
      aria-label={what ? `${shown}: ${what}` : shown}
      onClick={copy}
    >
      {shown}
    </button>
  );
}
