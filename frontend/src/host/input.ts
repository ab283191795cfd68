/** Whether the user has begun to use the page. */

/** Calls `callback` at the first click or key press. */
export function onFirstInput(callback: () => void): void {
  const listener = () => {
    document.removeEventListener("pointerdown", listener, true);
    document.removeEventListener("keydown", listener, true);
    callback();
  };
  document.addEventListener("pointerdown", listener, true);
  document.addEventListener("keydown", listener, true);
}
