import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { numberFromWire, type WireNumber } from "../src/wire/answers";
import { decodeGrid, GridFormatError } from "../src/wire/grid";
import { type EncodedGrid, encodeGrid } from "./encode_grid";

const GOLDEN = new URL("../../tests/golden/", import.meta.url);

const SMALL: EncodedGrid = {
  run: "a",
  statistic: "norm",
  scale: "log10",
  rows: ["r0", "r1"],
  edges: [0, 1, 5],
  value: [1, 2, 3, Number.NaN],
  flags: [8, 9, 24, 0],
};

test("the server's golden bytes decode to its golden JSON", () => {
  const bytes = readFileSync(new URL("grid.bin", GOLDEN));
  const expected = JSON.parse(readFileSync(new URL("grid.json", GOLDEN), "utf8"));
  const grid = decodeGrid(new Uint8Array(bytes).buffer);
  expect(grid.run).toBe(expected.header.run);
  expect(grid.scale).toBe(expected.header.scale);
  expect(grid.rows).toEqual(expected.header.rows);
  expect(grid.edges).toEqual(expected.header.edges);
  expect([...grid.value]).toEqual((expected.value as WireNumber[][]).flat().map(numberFromWire));
  expect([...grid.flags]).toEqual(expected.flags.flat());
});

test("any grid comes back as it was encoded", () => {
  const anyGrid = fc
    .record({
      run: fc.string({ unit: "binary" }),
      rows: fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 6 }),
      widths: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 7 }),
      first: fc.nat(),
    })
    .chain(({ run, rows, widths, first }) => {
      const edges = [first];
      for (const width of widths) edges.push((edges.at(-1) ?? 0) + width);
      const cells = {
        minLength: rows.length * widths.length,
        maxLength: rows.length * widths.length,
      };
      return fc.record({
        run: fc.constant(run),
        statistic: fc.constant("norm" as const),
        scale: fc.constant("log10" as const),
        rows: fc.constant(rows),
        edges: fc.constant(edges),
        value: fc.array(fc.float(), cells),
        flags: fc.array(fc.integer({ min: 0, max: 31 }), cells),
      });
    });
  fc.assert(
    fc.property(anyGrid, (grid) => {
      const decoded = decodeGrid(encodeGrid(grid));
      expect({ ...decoded, value: [...decoded.value], flags: [...decoded.flags] }).toEqual(grid);
    }),
  );
});

test("whatever bytes arrive, the error is a named one", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (bytes, keep) => {
      const damaged = new Uint8Array(encodeGrid(SMALL)).slice(0, keep);
      damaged.set(bytes.slice(0, damaged.length), Math.max(0, damaged.length - bytes.length));
      try {
        decodeGrid(damaged.buffer);
      } catch (error) {
        expect(error).toBeInstanceOf(GridFormatError);
      }
    }),
  );
});

test.each([
  ["another version", { version: 2 }, "Got version 2 where 1 was expected"],
  ["another magic", { magic: "OOPS" }, 'Got "OOPS" where a grid begins with "NWGR"'],
  ["a missing channel", { channelNames: ["value", "flagz"] }, 'Got no channel "flags"'],
  ["another dtype", { valueDtype: "float64" }, 'Got "value" as float64 where float32'],
  ["rows without cells", { rows: ["r0"] }, "where [1,2] was expected"],
] as const)("%s is named", (_what, change, message) => {
  const shape = [2, 2];
  expect(() => decodeGrid(encodeGrid({ ...SMALL, shape, ...change } as EncodedGrid))).toThrow(
    message,
  );
});

test("a truncated answer is named", () => {
  const whole = encodeGrid(SMALL);
  expect(() => decodeGrid(whole.slice(0, 5))).toThrow("Got 5 bytes where a grid has at least 12");
  expect(() => decodeGrid(whole.slice(0, 40))).toThrow("the header alone ends at");
  expect(() => decodeGrid(whole.slice(0, whole.byteLength - 1))).toThrow(/where "flags" ends at/);
});
