/** Every gesture and every key, on a sheet. */

import { useEffect, useRef } from "preact/hooks";
import type { Session } from "../state/session";

const SHEET: readonly [title: string, lines: readonly [keys: string, what: string][]][] = [
  [
    "Steps in sight",
    [
      ["wheel, pinch", "zoom about the pointer"],
      ["drag", "pan"],
      ["drag on the axis", "zoom to what is brushed"],
      ["double click", "the whole run"],
      ["+ −  or  W S", "zoom about the selected step"],
      ["A D", "pan"],
      ["0", "the whole run"],
      ["F", "zoom to the selected step"],
      ["L", "the axis: steps, their logarithm, wall time"],
    ],
  ],
  [
    "Selection",
    [
      ["← → ↑ ↓", "move by a cell; with Shift by ten"],
      ["Page Up, Page Down", "move by ten tensors"],
      ["Home, End", "the first and the last step"],
      ["click on a name", "that tensor at the selected step"],
      ["click on its mark", "where it first went non-finite"],
      ["Enter", "go to the details; Esc comes back"],
      ["Esc", "clear"],
    ],
  ],
  [
    "Findings",
    [
      ["N, Shift N", "the next and the previous finding"],
      ["click on the axis", "the finding whose sign it is"],
    ],
  ],
  [
    "Rows",
    [
      ["/", "filter by words or a /regular expression/"],
      ["P", "pin the selected row, or let it go"],
      ["wheel on the names", "scroll"],
      ["click on a folded row", "its worst tensor at that step"],
      ["O", "open or fold the group of the selected row"],
    ],
  ],
  [
    "Runs side by side",
    [
      ["Compare with…", "the run stands below, in the same rows and steps"],
      ["Values, Difference", "what it recorded, or how much more or less that was"],
      ["click below", "the details of that run’s cell"],
      ["Show it", "where the two part"],
    ],
  ],
  ["This sheet", [["?", "open and close"]]],
];

export function Help({ session }: { session: Session }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = session.help.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open) dialog.current?.close();
  }, [open]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof HTMLElement &&
        event.target.matches("input:not([type=radio], [type=checkbox])");
      if (event.key === "?" && !typing) session.help.value = !session.help.value;
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [session]);
  return (
    <dialog
      class="help"
      ref={dialog}
      aria-labelledby="help-title"
      onClose={() => {
        session.help.value = false;
      }}
    >
      <form method="dialog">
        <h2 id="help-title">Mouse and keys</h2>
        <button type="submit" class="close" aria-label="Close">
          ×
        </button>
      </form>
      <div class="sheet">
        {SHEET.map(([title, lines]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {lines.map(([keys, what]) => (
                <div key={keys}>
                  <dt>{keys}</dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
