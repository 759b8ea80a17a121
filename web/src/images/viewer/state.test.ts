import { expect, test } from "vitest";
import { lettersOf } from "./orientation.ts";
import { PRESETS, rangeOf, windowOf } from "./preset.ts";
import { EMPTY, stateOf, withKey, withPane } from "./state.ts";

const PANE = { study: "1.2", series: "1.2.3", at: 4 };

test("a state survives the way over the network", () => {
  const state = {
    ...EMPTY,
    panes: [PANE],
    marks: [
      {
        id: "a",
        tool: "Length",
        points: [
          [0, 0, 0],
          [1, 0, 0],
        ] as const,
        series: "1.2.3",
        at: 4,
      },
    ],
  };
  expect(stateOf(JSON.parse(JSON.stringify(state)))).toEqual(state);
});

test("a state of one pane is small", () => {
  expect(JSON.stringify({ ...EMPTY, panes: [PANE] }).length).toBeLessThan(200);
});

test.each([
  [null],
  ["text"],
  [{}],
  [{ layout: "many", panes: [] }],
  [{ layout: "one", panes: [{ study: "1", series: 2, at: 0 }] }],
  [{ layout: "one", panes: [{ study: "1", series: "2", at: 0.5 }] }],
])("%j is no state", (value) => {
  expect(stateOf(value)).toBeUndefined();
});

test("marks that are none are left out", () => {
  const state = stateOf({ ...EMPTY, panes: [PANE], marks: [{ id: "a", tool: "Length", points: [[0, "x", 0]] }] });
  expect(state?.marks).toEqual([]);
});

test("marking an image as key a second time takes it back", () => {
  const marked = withKey(EMPTY, "1.2.3", 4);
  expect(marked.keys).toEqual([{ series: "1.2.3", at: 4 }]);
  expect(withKey(marked, "1.2.3", 4).keys).toEqual([]);
});

test("one pane is changed, the others stay", () => {
  const state = withPane({ ...EMPTY, panes: [PANE, PANE] }, 1, { at: 5 });
  expect(state.panes.map((pane) => pane.at)).toEqual([4, 5]);
});

test.each(PRESETS)("the window $name comes back from its range", ({ window }) => {
  expect(windowOf(rangeOf(window))).toEqual([...window]);
});

test("letters of an axial slice seen from the feet", () => {
  expect(lettersOf([0, -1, 0], [0, 0, -1])).toEqual({ top: "A", bottom: "P", left: "R", right: "L" });
});
