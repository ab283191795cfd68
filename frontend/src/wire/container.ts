/**
 * The binary layout that heatmaps and spectrograms travel in: magic, version, a JSON header, then
 * little-endian arrays. It is specified in tb_nanwatch/http/http_api.md.
 */

const MAGIC = "NWGR";
const VERSION = 1;
const PREAMBLE_BYTES = 12;

/** The bytes are not what this page can read; the message has what was found. */
export class GridFormatError extends Error {
  override name = "GridFormatError";
}

interface Channel {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
}

const ARRAYS = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array };
type Arrays = { [Name in keyof typeof ARRAYS]: InstanceType<(typeof ARRAYS)[Name]> };

/** A header of JSON and the arrays behind it. */
export class Container<Header extends object> {
  readonly header: Header;
  readonly #channels: Channel[];
  readonly #start: number;

  /** Raises GridFormatError where the bytes are none, or one of `members` is no array. */
  constructor(
    readonly buffer: ArrayBuffer,
    members: readonly (keyof Header & string)[],
  ) {
    if (buffer.byteLength < PREAMBLE_BYTES) {
      throw new GridFormatError(
        `Got ${buffer.byteLength} bytes where a grid has at least ${PREAMBLE_BYTES}.`,
      );
    }
    const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
    if (magic !== MAGIC) {
      throw new GridFormatError(
        `Got ${JSON.stringify(magic)} where a grid begins with "${MAGIC}".`,
      );
    }
    const view = new DataView(buffer);
    const version = view.getUint32(4, true);
    if (version !== VERSION) {
      throw new GridFormatError(
        `Got version ${version} where ${VERSION} was expected: reload the page.`,
      );
    }
    const length = view.getUint32(8, true);
    this.#start = PREAMBLE_BYTES + length;
    if (this.#start > buffer.byteLength) {
      throw new GridFormatError(
        `Got ${buffer.byteLength} bytes where the header alone ends at ${this.#start}.`,
      );
    }
    const text = new TextDecoder().decode(new Uint8Array(buffer, PREAMBLE_BYTES, length));
    let header: Record<string, unknown>;
    try {
      header = JSON.parse(text) as Record<string, unknown>;
    } catch {
      throw new GridFormatError("Got a header that is no JSON.");
    }
    for (const key of [...members, "channels"]) {
      if (!Array.isArray(header[key])) throw new GridFormatError(`Got a header without ${key}.`);
    }
    this.header = header as Header;
    this.#channels = header.channels as Channel[];
  }

  has(name: string): boolean {
    return this.#channels.some((channel) => channel.name === name);
  }

  /** Sizes of a channel's axes. */
  shapeOf(name: string): number[] {
    return this.#channel(name).shape;
  }

  /** The array of a channel, row-major, once it is known to be what it has to be. */
  array<Dtype extends keyof Arrays>(
    name: string,
    dtype: Dtype,
    expected: readonly number[],
  ): Arrays[Dtype] {
    const channel = this.#channel(name);
    if (channel.dtype !== dtype) {
      throw new GridFormatError(`Got "${name}" as ${channel.dtype} where ${dtype} was expected.`);
    }
    const { shape } = channel;
    if (shape.length !== expected.length || shape.some((size, axis) => size !== expected[axis])) {
      throw new GridFormatError(
        `Got "${name}" of shape [${shape}] where [${expected}] was expected.`,
      );
    }
    const Typed = ARRAYS[dtype];
    const itemSize = Typed.BYTES_PER_ELEMENT;
    const length = expected.reduce((product, size) => product * size, 1);
    const offset = this.#start + channel.offset;
    if (offset % itemSize !== 0) {
      throw new GridFormatError(`Got "${name}" at byte ${offset}, no multiple of ${itemSize}.`);
    }
    if (offset + length * itemSize > this.buffer.byteLength) {
      throw new GridFormatError(
        `Got ${this.buffer.byteLength} bytes where "${name}" ends at ${offset + length * itemSize}.`,
      );
    }
    return new Typed(this.buffer, offset, length) as Arrays[Dtype];
  }

  #channel(name: string): Channel {
    const channel = this.#channels.find((candidate) => candidate.name === name);
    if (!channel) throw new GridFormatError(`Got no channel "${name}".`);
    return channel;
  }
}
