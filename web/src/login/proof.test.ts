import { expect, test } from "vitest";
import { challengeOf, claimsOf, randomText } from "./proof.ts";

test("the challenge is that of RFC 7636, appendix B", async () => {
  expect(await challengeOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")).toBe(
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
  );
});

test("verifiers are 43 characters that a URL can hold, each another", () => {
  expect(randomText()).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(randomText()).not.toBe(randomText());
});

test("claims keep Vietnamese letters", () => {
  const part = Buffer.from(JSON.stringify({ name: "Nguyễn Thị Mai" })).toString("base64url");
  expect(claimsOf(`x.${part}.y`)).toEqual({ name: "Nguyễn Thị Mai" });
});
