/** A button that opens a small menu below it. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface MenuProps {
  label: string;
  /** The side on which it is aligned with its button. */
  align?: "left" | "right";
  children: ComponentChildren;
}

export function Menu({ label, align = "left", children }: MenuProps) {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const element = menu.current;
      if (element?.open && !element.contains(event.target as Node)) element.open = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
    };
  }, []);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !menu.current?.open) return;
    menu.current.open = false;
    menu.current.querySelector("summary")?.focus();
    event.stopPropagation();
  };
  return (
    <details class={`menu ${align}`} ref={menu} onKeyDown={onKeyDown}>
      <summary>{label}</summary>
      <div class="menu-items">{children}</div>
    </details>
  );
}
