import { expect, test, vi } from "vitest";

vi.stubGlobal("location", new URL("http://node/day"));
vi.stubGlobal("document", { documentElement: { dataset: {} } });
vi.stubGlobal("sessionStorage", { getItem: () => null });

const { eventIn } = await import("./event_stream.ts");

test("an event has its name, its id and its data", () => {
  expect(eventIn('id: a-7\nevent: chat\ndata: {"text":"Chào: bác sĩ"}')).toEqual({
    event: "chat",
    id: "a-7",
    data: { text: "Chào: bác sĩ" },
  });
});

test("a comment is no event", () => {
  expect(eventIn(": still here")).toBeUndefined();
});
