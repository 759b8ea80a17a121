import type { Composition } from "fhir/r4";
import { expect, test, vi } from "vitest";

vi.stubGlobal("location", new URL("http://node/day"));
vi.stubGlobal("document", { documentElement: { dataset: {} } });
vi.stubGlobal("sessionStorage", { getItem: () => null });

const { divOf, withTexts } = await import("./section.ts");

test("what is typed is words, never markup", () => {
  expect(divOf("SpO2 < 90 & thở nhanh\n\nChuyển tuyến")).toBe(
    '<div xmlns="http://www.w3.org/1999/xhtml"><p>SpO2 &lt; 90 &amp; thở nhanh</p><p>Chuyển tuyến</p></div>',
  );
});

test("only the sections that were written change, and are empty no more", () => {
  const empty = { emptyReason: { text: "notstarted" } };
  const minutes = {
    section: [
      { title: "a", ...empty },
      { title: "b", section: [{ title: "c", ...empty }] },
    ],
  };
  const after = withTexts(minutes as unknown as Composition, { "1.0": "Theo dõi thêm" });
  expect(after.section?.[0]).toEqual(minutes.section[0]);
  expect(after.section?.[1]?.section?.[0]?.emptyReason).toBeUndefined();
  expect(after.section?.[1]?.section?.[0]?.text?.div).toContain("Theo dõi thêm");
});
