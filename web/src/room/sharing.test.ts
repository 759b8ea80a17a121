import { expect, test } from "vitest";
import type { Series } from "../images/series.ts";
import { EMPTY } from "../images/viewer/state.ts";
import { Sender, viewedOf, windowOf, withReview } from "./sharing.ts";

const frames = [1, 2, 3].map((number) => ({ instance: `1.2.${number}`, number: 1, set: {} }));
const series = [{ study: "1.1", uid: "1.9", frames }] as unknown as Series[];
const state = {
  ...EMPTY,
  panes: [{ study: "1.1", series: "1.9", at: 2, window: [40, 400] as const, zoom: 2, pan: [0.1, 0] as const }],
};

test("what is shared shows the same to somebody else", () => {
  const viewport = viewedOf(state, series) ?? {};
  const window = windowOf(state) as { center: number; width: number };
  const review = { version: 1, presenter: "a", study: "1.1", annotations: [], viewport, window };
  const other = withReview({ ...EMPTY, panes: [{ study: "1.1", series: "1.9", at: 0 }] }, review, series);
  expect(other.panes[0]).toMatchObject({ at: 2, window: [40, 400], zoom: 2, pan: [0.1, 0] });
  expect(viewport.instance).toBe("1.2.3");
});

test("what is out of date when its turn comes is not sent", async () => {
  const sent: unknown[] = [];
  const sender = new Sender(async (event) => {
    await Promise.resolve();
    sent.push(event.frame);
  });
  for (const frame of [1, 2, 3]) sender.send("viewport", { frame });
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(sent).toEqual([1, 3]);
});
