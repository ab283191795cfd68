import { expect, test } from "vitest";
import { paintColumns } from "../src/draw/spectrogram";
import { STATISTICS } from "../src/wire/schema";
import { decodeSpectrogram } from "../src/wire/spectrogram";

type Channel = [
  name: string,
  dtype: "float32" | "float64" | "uint8",
  shape: number[],
  values: number[],
];

const WRITE = {
  float32: (view: DataView, at: number, value: number) => view.setFloat32(at, value, true),
  float64: (view: DataView, at: number, value: number) => view.setFloat64(at, value, true),
  uint8: (view: DataView, at: number, value: number) => view.setUint8(at, value),
};
const SIZES = { float32: 4, float64: 8, uint8: 1 };

function encode(header: object, channels: readonly Channel[]): ArrayBuffer {
  let offset = 0;
  const described = channels.map(([name, dtype, shape, values]) => {
    const channel = { name, dtype, shape, offset };
    offset = Math.ceil((offset + values.length * SIZES[dtype]) / 8) * 8;
    return channel;
  });
  const text = new TextEncoder().encode(JSON.stringify({ ...header, channels: described }));
  const start = Math.ceil((12 + text.length) / 8) * 8;
  const bytes = new Uint8Array(start + offset).fill(0x20, 0, start);
  bytes.set(new TextEncoder().encode("NWGR"));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, 1, true);
  view.setUint32(8, start - 12, true);
  bytes.set(text, 12);
  channels.forEach(([, dtype, , values], index) => {
    const at = start + (described[index]?.offset ?? 0);
    values.forEach((value, item) => {
      WRITE[dtype](view, at + item * SIZES[dtype], value);
    });
  });
  return bytes.buffer;
}

const HEADER = { run: "r", tensor: "t", edges: [0, 16, 32], first_exponent: -3 };
const CHANNELS: Channel[] = [
  ["counts", "float32", [2, 3], [1, 2, 3, 4, 5, 6]],
  ["sampled_elements", "float64", [2], [8, 2 ** 40]],
  ["zero", "float64", [2], [1, 0]],
  ["subnormal", "float64", [2], [0, 0]],
  ...STATISTICS.map(({ name }): Channel => [name, "float32", [2], [0.5, Number.NaN]]),
  ["flags", "uint8", [2], [8, 9]],
];

test("a spectrogram comes back as it was encoded", () => {
  const decoded = decodeSpectrogram(encode(HEADER, CHANNELS));
  expect(decoded).toMatchObject({ ...HEADER, bins: 3 });
  expect([...decoded.counts]).toEqual([1, 2, 3, 4, 5, 6]);
  expect([...decoded.sampled_elements]).toEqual([8, 2 ** 40]);
  expect([...decoded.statistics.norm]).toEqual([0.5, Number.NaN]);
  expect([...decoded.flags]).toEqual([8, 9]);
});

test("an error names what is wrong", () => {
  const changed = (name: string, change: Partial<Record<1 | 2, unknown>>) =>
    encode(
      HEADER,
      CHANNELS.map((channel) =>
        channel[0] === name ? (Object.assign([...channel], change) as unknown as Channel) : channel,
      ),
    );
  expect(() => decodeSpectrogram(changed("zero", { 2: [3] }))).toThrow(
    'Got "zero" of shape [3] where [2] was expected.',
  );
  expect(() => decodeSpectrogram(changed("zero", { 1: "float32" }))).toThrow(
    'Got "zero" as float32 where float64 was expected.',
  );
  expect(() => decodeSpectrogram(encode(HEADER, CHANNELS.slice(0, 3)))).toThrow("Got no channel");
});

test("each bin is painted in its column at its height, by its share", () => {
  const spectrogram = decodeSpectrogram(encode(HEADER, CHANNELS));
  const raster = { pixels: new Uint32Array(4 * 3), width: 4, height: 3 };
  const table = Uint32Array.from({ length: 256 }, (_, index) => index + 1);
  spectrogram.counts.set([8, 0, 0, 0, 0, 2 ** 30]);
  const edges = Int32Array.of(0, 2, 4);
  paintColumns(raster, { begin: 0, edges }, spectrogram, (exponent) => -exponent, table);
  // All of the first column's elements, and 2 ** -10 of the second's.
  const [all, few] = [256, Math.round((1 - (10 * Math.log10(2)) / 6) * 255) + 1];
  expect([...raster.pixels]).toEqual([0, 0, few, few, 0, 0, 0, 0, all, all, 0, 0]);
});
