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
          piece
        ),
      )}
    </>
  );
}
