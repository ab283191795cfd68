/** TensorBoard loads this module into an empty page and calls `render`. */

import { render as mount } from "preact";
import { Session } from "./state/session";
import { adoptSheets } from "./theme/sheets";
import { App } from "./views/App";
import { isEmbedded } from "./wire/embedded";

export async function render(): Promise<void> {
  // The frame's document is TensorBoard's, which sets neither.
  if (!isEmbedded()) document.title = "NaNWatch";
  document.documentElement.lang = "en";
  const session = new Session();
  adoptSheets(session.theme);
  session.start();
  mount(<App session={session} />, document.body);
}

// No TensorBoard calls it in a page without a server.
if (isEmbedded()) void render();
