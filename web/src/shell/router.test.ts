import { expect, test, vi } from "vitest";

vi.stubGlobal("location", new URL("http://node/day?filter=mine"));

const { matched } = await import("./router.ts");

test.each([
  ["/patients/:id", "/patients/ly-thi-may", { id: "ly-thi-may" }],
  ["/patients/:id", "/patients/l%C3%BD", { id: "lý" }],
  ["/patients/:id", "/patients/%E0", { id: "%E0" }],
  ["/day", "/day/", {}],
  ["/", "/", {}],
])("%s fits %s", (pattern, path, parts) => {
  expect(matched(pattern, path)).toEqual(parts);
});

test.each([
  ["/patients/:id", "/patients"],
  ["/patients/:id", "/patients/"],
  ["/patients/:id", "/patients/a/b"],
  ["/day", "/days"],
])("%s does not fit %s", (pattern, path) => {
  expect(matched(pattern, path)).toBeUndefined();
});
