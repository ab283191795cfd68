/** Whether our tab is the one that is shown: a hidden plugin lives on in a frame of height 0. */

export function isShown(): boolean {
  return window.innerHeight > 0;
}

/** Calls back now where the tab is shown, else once as soon as it is. */
export function whenShown(callback: () => void): void {
  if (isShown()) {
    callback();
    return;
  }
  const listener = () => {
    if (!isShown()) return;
    window.removeEventListener("resize", listener);
    callback();
  };
  window.addEventListener("resize", listener);
}
