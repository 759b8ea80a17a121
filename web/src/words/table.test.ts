import { expect, test } from "vitest";
import { WORDS } from "./table.ts";

const rows = Object.entries(WORDS);

test.each(rows)("%s is there in both languages, with the same parts to fill in", (_key, word) => {
  const parts = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).toSorted();
  expect(word.vi.trim()).not.toBe("");
  expect(word.en.trim()).not.toBe("");
  expect(parts(word.vi)).toEqual(parts(word.en));
});

test("letters are composed, so that what is typed is found", () => {
  const decomposed = rows.filter(([, word]) => word.vi !== word.vi.normalize("NFC"));
  expect(decomposed).toEqual([]);
});
