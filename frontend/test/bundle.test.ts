import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";

const BUDGET_BYTES = 100_000;

test("the tab is one module that exports render, loads nothing else and keeps its budget", async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const built = await build({ root, logLevel: "error", build: { write: false } });
  const files = "output" in built ? built.output : [];
  expect(files.map(({ fileName }) => fileName)).toEqual(["index.js"]);
  const [module] = files;
  if (module?.type !== "chunk") throw new Error("The build gave no module.");
  expect(module.exports).toEqual(["render"]);
  expect([...module.imports, ...module.dynamicImports]).toEqual([]);
  expect(gzipSync(module.code).length).toBeLessThan(BUDGET_BYTES);
  // TensorBoard's policy forbids all of these.
  expect(module.code).not.toMatch(/\beval\(|new Function|blob:/);
  const addresses = module.code.match(/https?:\/\/[^"'`\s)]+/g) ?? [];
  expect(addresses.filter((address) => !address.startsWith("http://www.w3.org/"))).toEqual([]);
}, 60_000);
