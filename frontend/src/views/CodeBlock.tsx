/** Code with a button that copies it. */

import { useState } from "preact/hooks";
import { copyText } from "./files";

interface CodeBlockProps {
  /** What the code does, above it. */
  title?: string;
  code: string;
}

export function CodeBlock({ title, code }: CodeBlockProps) {
  const [label, setLabel] = useState("Copy");
  const copy = async () => {
    setLabel((await copyText(code)) ? "Copied" : "Could not copy");
    setTimeout(() => setLabel("Copy"), 2500);
  };
  const button = (
    <button type="button" aria-label={title ? `${label}: ${title}` : label} onClick={copy}>
      {label}
    </button>
  );
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
