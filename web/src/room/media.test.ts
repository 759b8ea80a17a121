import { expect, test, vi } from "vitest";

vi.stubGlobal("location", new URL("http://node/day"));
vi.stubGlobal("document", { documentElement: { dataset: {} } });
vi.stubGlobal("sessionStorage", { getItem: () => null });

const { seated } = await import("./media.ts");

test("who has a slot keeps it when others come and go", () => {
  const first = seated(["lan", "hoa"], ["3", "4", "5"], new Map());
  expect([...first]).toEqual([
    ["lan", "3"],
    ["hoa", "4"],
  ]);
  const second = seated(["an", "hoa", "mai"], ["3", "4", "5"], first);
  expect(second.get("hoa")).toBe("4");
  expect(second.get("an")).toBe("3");
  expect(second.get("mai")).toBe("5");
});

test("who finds no slot free has none", () => {
  const seats = seated(["lan", "hoa"], ["3"], new Map());
  expect(seats.has("hoa")).toBe(false);
});
