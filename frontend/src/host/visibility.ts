/** Whether our tab is visible: a hidden plugin lives on in a frame of height 0. */

export function isShown(): boolean {
  return window.innerHeight > 0;
}

/** Calls `callback` at each call where the tab is visible, else once as soon as it is. */
export function whenShown(callback: () => void): () => void {
  let waiting = false;
  const listener = () => {
    if (!isInView()) return;
    window.removeEventListener("resize", listener);
    document.removeEventListener("visibilitychange", listener);
    waiting = false;
    callback();
  };
  return () => {
    if (isInView()) callback();
    else if (!waiting) {
      waiting = true;
      window.addEventListener("resize", listener);
      document.addEventListener("visibilitychange", listener);
    }
  };
}

/** The browser may also show another page than TensorBoard's. */
function isInView(): boolean {
  return isShown() && document.visibilityState !== "hidden";
}
