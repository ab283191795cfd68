/** All gestures and keys, in a dialog. */

import type { Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useModal } from "./modal";

const SECTIONS: readonly [title: string, lines: readonly [keys: string, effect: string][]][] = [
  [
    "Visible steps",
    [
      ["wheel, pinch", "zoom at the pointer"],
      ["drag", "pan"],
      ["drag on the axis", "zoom to these steps"],
      ["double click", "reset zoom"],
      ["+ −  or  W S", "zoom at the selected step"],
      ["A D", "pan"],
      ["0", "reset zoom"],
      ["F", "zoom to the selected step"],
      ["L", "next x axis: step, log step, time"],
    ],
  ],
  [
    "Selection",
    [
      ["← → ↑ ↓", "move by one cell; with Ctrl by ten"],
      ["Shift ← →, Shift drag", "select steps for statistics over them"],
      ["Page Up, Page Down", "move by ten tensors"],
      ["Home, End", "first and last step"],
      ["click on a name", "that tensor at the selected step"],
      ["click on its mark", "its first NaN or Inf"],
      ["Enter", "go to the details; Esc goes back"],
      ["Esc", "clear the selection"],
    ],
  ],
  [
    "Findings",
    [
      ["N, Shift N", "next and previous finding"],
      ["click on the axis", "open that finding"],
    ],
  ],
  [
    "Anywhere",
    [
      ["Ctrl K, ⌘ K", "go to a run, tensor, finding or action"],
      ["↑ ↓ in the runs", "next and previous run; Enter opens it"],
      ["← → on their edge", "resize the list of runs"],
      ["Back of the browser", "the run before"],
      ["?", "open and close this dialog"],
    ],
  ],
  [
    "Rows",
    [
      ["/", "filter by words or a /regular expression/"],
      ["P", "pin or unpin the row"],
      ["wheel on the names", "scroll"],
      ["click on the pinned origin", "jump to where it began"],
      ["click on a closed row", "its largest value at that step"],
      ["O", "open or close the group of the row"],
    ],
  ],
  [
    "Comparing runs",
    [
      ["Compare with…", "shows the run below, with the same rows and steps"],
      ["Arrange by row", "puts the rows of the runs together"],
      ["Values, Difference", "its values, or its values relative to the selected run"],
      ["click below", "details of that run’s cell"],
      ["Jump to it", "jump to the first difference"],
    ],
  ],
];

export function Help({ shown }: { shown: Signal<boolean> }) {
  const dialog = useModal(shown);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping =
        event.target instanceof HTMLElement &&
        event.target.matches("input:not([type=radio], [type=checkbox])");
      if (event.key === "?" && !isTyping) shown.value = !shown.value;
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [shown]);
  return (
    <dialog
      class="help"
      ref={dialog}
      aria-labelledby="help-title"
      onClose={() => {
        shown.value = false;
      }}
    >
      <form method="dialog">
        <h2 id="help-title">Mouse and keyboard</h2>
        <button type="submit" class="close" aria-label="Close">
          ×
        </button>
      </form>
      <div class="sheet">
        {SECTIONS.map(([title, lines]) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl>
              {lines.map(([keys, effect]) => (
                <div key={keys}>
                  <dt>{keys}</dt>
                  <dd>{effect}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
