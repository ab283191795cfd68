/** A rendered text of the server: the code between its backticks in monospace, nothing else changed. */

import { segmentsOf } from "../../model/findings";

export function MarkedText({ text }: { text: string }) {
  return (
    <>
      {segmentsOf(text).map(({ code, block, text: piece }, index) =>
        code ? (
          <code key={index} class={block ? "block" : ""}>
            {piece}
          </code>
        ) : (
          <Unbroken key={index} text={piece} />
        ),
      )}
    </>
  );
}

/** A text in which no line ends within "-Inf". */
export function Unbroken({ text }: { text: string }) {
  const pieces = text.split(/([-−+]Inf)/);
  if (pieces.length === 1) return <>{text}</>;
  return (
    <>
      {pieces.map((piece, index) =>
        index % 2 === 1 ? (
          <span key={index} class="nowrap">
            {piece}
          </span>
        ) : (
          piece
        ),
      )}
    </>
  );
}
