/**
 * Decodes the heatmap's cells: magic, version, a JSON header, then little-endian arrays.
 * The layout is specified in tb_nanwatch/http/http_api.md.
 */

import type { Scale, StatisticName } from "./schema";

const MAGIC = "NWGR";
const VERSION = 1;
const PREAMBLE_BYTES = 12;

/** The cells of a run: row-major, one row a tensor, one column a range of steps. */
export interface Grid {
  run: string;
  statistic: StatisticName;
  scale: Scale;
  /** Tensor ids, in model order. */
  rows: string[];
  /** Column j covers the steps edges[j] to edges[j + 1] - 1. */
  edges: number[];
  /** NaN where nothing was recorded. */
  value: Float32Array;
  flags: Uint8Array;
}

interface Channel {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
}

interface Header extends Omit<Grid, "value" | "flags"> {
  channels: Channel[];
}

/** The bytes are not a grid that this page can read; the message says what was found. */
export class GridFormatError extends Error {
  override name = "GridFormatError";
}

export function decodeGrid(buffer: ArrayBuffer): Grid {
  const header = decodeHeader(buffer);
  const { run, statistic, scale, rows, edges } = header;
  const cells = rows.length * Math.max(0, edges.length - 1);
  const start = PREAMBLE_BYTES + headerLength(buffer);
  const value = channelBytes(buffer, start, header, "value", "float32", 4, cells);
  const flags = channelBytes(buffer, start, header, "flags", "uint8", 1, cells);
  return {
    run,
    statistic,
    scale,
    rows,
    edges,
    value: new Float32Array(buffer, value, cells),
    flags: new Uint8Array(buffer, flags, cells),
  };
}

function headerLength(buffer: ArrayBuffer): number {
  return new DataView(buffer).getUint32(8, true);
}

function decodeHeader(buffer: ArrayBuffer): Header {
  if (buffer.byteLength < PREAMBLE_BYTES) {
    throw new GridFormatError(
      `Got ${buffer.byteLength} bytes where a grid has at least ${PREAMBLE_BYTES}.`,
    );
  }
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (magic !== MAGIC) {
    throw new GridFormatError(`Got ${JSON.stringify(magic)} where a grid begins with "${MAGIC}".`);
  }
  const version = new DataView(buffer).getUint32(4, true);
  if (version !== VERSION) {
    throw new GridFormatError(
      `Got version ${version} where ${VERSION} was expected: reload the page.`,
    );
  }
  const length = headerLength(buffer);
  if (PREAMBLE_BYTES + length > buffer.byteLength) {
    throw new GridFormatError(
      `Got ${buffer.byteLength} bytes where the header alone ends at ${PREAMBLE_BYTES + length}.`,
    );
  }
  const text = new TextDecoder().decode(new Uint8Array(buffer, PREAMBLE_BYTES, length));
  let header: Partial<Header>;
  try {
    header = JSON.parse(text) as Partial<Header>;
  } catch {
    throw new GridFormatError("Got a header that is no JSON.");
  }
  for (const key of ["rows", "edges", "channels"] as const) {
    if (!Array.isArray(header[key])) throw new GridFormatError(`Got a header without ${key}.`);
  }
  return header as Header;
}

/** Byte offset of a channel in the buffer, once it is known to be what it has to be. */
function channelBytes(
  buffer: ArrayBuffer,
  start: number,
  header: Header,
  name: string,
  dtype: string,
  itemSize: number,
  cells: number,
): number {
  const channel = header.channels.find((candidate) => candidate.name === name);
  if (!channel) throw new GridFormatError(`Got no channel "${name}".`);
  if (channel.dtype !== dtype) {
    throw new GridFormatError(`Got "${name}" as ${channel.dtype} where ${dtype} was expected.`);
  }
  const expected = [header.rows.length, Math.max(0, header.edges.length - 1)];
  if (channel.shape[0] !== expected[0] || channel.shape[1] !== expected[1]) {
    throw new GridFormatError(
      `Got "${name}" of shape [${channel.shape}] where [${expected}] was expected.`,
    );
  }
  const offset = start + channel.offset;
  if (offset % itemSize !== 0) {
    throw new GridFormatError(`Got "${name}" at byte ${offset}, no multiple of ${itemSize}.`);
  }
  if (offset + cells * itemSize > buffer.byteLength) {
    throw new GridFormatError(
      `Got ${buffer.byteLength} bytes where "${name}" ends at ${offset + cells * itemSize}.`,
    );
  }
  return offset;
}
