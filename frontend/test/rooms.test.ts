import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));

/** What each room may import; the table of src/README.md. */
const MAY_KNOW: Record<string, string[]> = {
  host: ["wire"],
  wire: [],
  api: ["wire"],
  model: ["wire"],
  draw: ["model", "wire", "theme"],
  theme: ["model"],
  state: ["host", "api", "model", "theme", "wire"],
  views: ["api", "model", "draw", "theme", "state", "wire"],
};

function sources(room: string): { path: string; text: string }[] {
  return readdirSync(`${SRC}${room}`, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => ({
      path: `${room}/${name}`,
      text: readFileSync(`${SRC}${room}/${name}`, "utf8"),
    }));
}

describe.each(Object.entries(MAY_KNOW))("%s", (room, others) => {
  test("imports only the rooms that it may know", () => {
    expect(sources(room)).not.toEqual([]);
    for (const { path, text } of sources(room)) {
      const known = [...text.matchAll(/from "(?:\.\.\/)+([a-z]+)\//g)]
        .map((found) => found[1])
        .filter((name) => name !== room);
      expect([path, known.filter((name) => !others.includes(name as string))]).toEqual([path, []]);
    }
  });

  test("leaves the network, the host's page and the view library to whom they belong", () => {
    const belongs = {
      "fetch\\(": ["api"],
      "window\\.parent": ["host"],
      preact: ["views", "state", "theme"],
    };
    for (const { path, text } of sources(room)) {
      for (const [pattern, rooms] of Object.entries(belongs)) {
        if (rooms.includes(room)) continue;
        expect([path, text.match(new RegExp(`\\b${pattern}`))?.[0]]).toEqual([path, undefined]);
      }
    }
  });
});
