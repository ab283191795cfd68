/** Whether our tab is the one that is shown: a hidden plugin lives on in a frame of height 0. */

export function isShown(): boolean {
  return window.innerHeight > 0;
}

/** Calls `callback` at each call where the tab is shown, else once as soon as it is. */
export function whenShown(callback: () => void): () => void {
  let waiting = false;
  const listener = () => {
    if (!isShown()) return;
    window.removeEventListener("resize", listener);
    waiting = false;
    callback();
  };
  return () => {
    if (isShown()) callback();
    else if (!waiting) {
      waiting = true;
      window.addEventListener("resize", listener);
    }
  };
}
