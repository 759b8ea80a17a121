import { expect, test } from "vitest";
import { partsOf } from "./parts.ts";

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const TYPE = 'multipart/related; type="image/jpeg"; boundary=b1';

test("parts come as they were sent, whatever bytes are in them", () => {
  const message = bytes(
    "--b1\r\nContent-Type: image/jpeg; transfer-syntax=1.2\r\n\r\none\r\n--b\r\n\r\n--b1\r\nContent-Type: image/jpeg\r\n\r\n\r\n--b1--\r\n",
  );
  const found = partsOf(TYPE, message);
  expect(found.map((part) => part.type)).toEqual(["image/jpeg; transfer-syntax=1.2", "image/jpeg"]);
  expect(found.map((part) => [...part.bytes])).toEqual([[...bytes("one\r\n--b\r\n")], []]);
});

test("a part that was cut off is none", () => {
  expect(partsOf(TYPE, bytes("--b1\r\nContent-Type: a/b\r\n\r\nhalf"))).toEqual([]);
});

test("what has no parts is one", () => {
  expect(partsOf("image/jpeg", bytes("x"))).toEqual([{ type: "image/jpeg", bytes: bytes("x") }]);
});
