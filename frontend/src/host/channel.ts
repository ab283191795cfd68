/**
 * The message channel to TensorBoard's page. The plugin hands over one port of a channel; after
 * that, each message is a JSON string, and each message of the host wants a reply with its id.
 */

import { isEmbedded } from "../wire/embedded";

interface Message {
  type: string;
  id: number;
  payload: unknown;
  error: string | null;
  isReply: boolean;
}

export type HostEvent = "experimental.RunsChanged" | "experimental.DataReloaded";

/** Calls `onEvent` for each event of the host. Outside of TensorBoard nothing ever comes. */
export function connectHost(onEvent: (event: HostEvent) => void): void {
  if (window.parent === window || isEmbedded()) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }: MessageEvent<string>) => {
    const message = JSON.parse(data) as Message;
    if (message.isReply) return;
    const reply: Message = { ...message, payload: null, error: null, isReply: true };
    channel.port1.postMessage(JSON.stringify(reply));
    if (
      message.type === "experimental.RunsChanged" ||
      message.type === "experimental.DataReloaded"
    ) {
      onEvent(message.type);
    }
  };
  window.parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}
