/** The command palette: runs, tensors, findings and actions, found by typing. */

import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Command, matchingCommands } from "../model/commands";
import { useModal } from "./modal";

interface PaletteProps {
  shown: Signal<boolean>;
  /** Collected each time that the palette opens. */
  commandsOf: () => readonly Command[];
}

export function Palette({ shown, commandsOf }: PaletteProps) {
  const dialog = useModal(shown);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      shown.value = !shown.value;
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [shown]);
  const close = () => {
    shown.value = false;
  };
  return (
    <dialog class="command-palette" ref={dialog} aria-label="Command palette" onClose={close}>
      {shown.value && <Search commandsOf={commandsOf} onClose={close} />}
    </dialog>
  );
}

interface SearchProps {
  commandsOf: () => readonly Command[];
  onClose: () => void;
}

function Search({ commandsOf, onClose }: SearchProps) {
  const [commands] = useState(commandsOf);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const found = matchingCommands(commands, text);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const run = (command: Command | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") run(found[chosen]);
    else if (step && found.length > 0) {
      setChosen((chosen + step + found.length) % found.length);
    } else return;
    event.preventDefault();
  };
  return (
    <>
      <input
        type="text"
        role="combobox"
        placeholder="Go to a run, tensor, finding or action…"
        aria-label="Go to a run, tensor, finding or action"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found.length > 0 ? `command-${chosen}` : undefined}
        autocomplete="off"
        value={text}
        ref={(input) => input?.focus()}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div id="palette-list" role="listbox" aria-label="Results" ref={list}>
        {found.map((command, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above takes the keys.
          <div
            key={`${command.kind} ${command.text} ${index}`}
            id={`command-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === chosen}
            onClick={() => run(command)}
          >
            <span class="command-kind">{command.kind}</span>
            <span class="command-text">{command.text}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p class="nothing">Nothing matches.</p>}
    </>
  );
}
