/** Whether TensorBoard is in dark mode. Its page says so by a class on its body. */

const DARK_CLASS = "dark-mode";

/** Calls `onChange` now and at each change. */
export function watchDarkMode(onChange: (dark: boolean) => void): void {
  const body = hostBody();
  if (body) {
    const tell = () => onChange(body.classList.contains(DARK_CLASS));
    new MutationObserver(tell).observe(body, { attributes: true, attributeFilter: ["class"] });
    tell();
    return;
  }
  const preference = window.matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", () => onChange(preference.matches));
  onChange(preference.matches);
}

function hostBody(): HTMLElement | undefined {
  try {
    return window.parent === window ? undefined : window.parent.document.body;
  } catch {
    return undefined; // Framed by a page of another origin.
  }
}
