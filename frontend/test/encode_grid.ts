/** Encodes a grid as the server does, or wrongly on purpose. */

import type { Scale, StatisticName } from "../src/wire/schema";

export interface EncodedGrid {
  run: string;
  statistic: StatisticName;
  scale: Scale;
  rows: string[];
  edges: number[];
  value: number[];
  flags: number[];
  /** What follows is for wrong encodings. */
  magic?: string;
  version?: number;
  shape?: number[];
  channelNames?: readonly [string, string];
  valueDtype?: string;
}

export function encodeGrid(grid: EncodedGrid): ArrayBuffer {
  const { run, statistic, scale, rows, edges, value, flags } = grid;
  const shape = grid.shape ?? [rows.length, edges.length - 1];
  const flagsOffset = aligned(value.length * 4);
  const [valueName, flagsName] = grid.channelNames ?? ["value", "flags"];
  const header = new TextEncoder().encode(
    JSON.stringify({
      ...{ run, statistic, scale, rows, edges },
      channels: [
        { name: valueName, dtype: grid.valueDtype ?? "float32", shape, offset: 0 },
        { name: flagsName, dtype: "uint8", shape, offset: flagsOffset },
      ],
    }),
  );
  const start = aligned(12 + header.length);
  const bytes = new Uint8Array(start + flagsOffset + flags.length).fill(0x20, 0, start);
  bytes.set(new TextEncoder().encode(grid.magic ?? "NWGR"));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, grid.version ?? 1, true);
  view.setUint32(8, start - 12, true);
  bytes.set(header, 12);
  for (const [index, one] of value.entries()) view.setFloat32(start + index * 4, one, true);
  bytes.set(flags, start + flagsOffset);
  return bytes.buffer;
}

function aligned(length: number): number {
  return Math.ceil(length / 8) * 8;
}
