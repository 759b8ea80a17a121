import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";

vi.stubGlobal("location", new URL("http://node/day"));
vi.stubGlobal("document", { documentElement: { dataset: {} } });
vi.stubGlobal("sessionStorage", { getItem: () => null });

const { PAGES } = await import("./pages.ts");
const sections = JSON.parse(readFileSync("public/sections.json", "utf8")) as string[];

test("the server knows the section of every page", () => {
  const unknown = PAGES.map((page) => page.path.split("/")[1] ?? "").filter((part) => part && !sections.includes(part));
  expect(unknown).toEqual([]);
});

test("no two pages have one path or one key", () => {
  const paths = PAGES.map((page) => page.path.replace(/:\w+/g, ":"));
  const keys = PAGES.flatMap((page) => page.nav?.key ?? []);
  expect(new Set(paths).size).toBe(paths.length);
  expect(new Set(keys).size).toBe(keys.length);
});
