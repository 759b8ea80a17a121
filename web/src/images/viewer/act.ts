// What can be done in the viewer, from the keyboard and from the toolbar: one table of keys.

import { isTyping, type KeyHelp } from "../../shell/keyboard.tsx";
import type { Key } from "../../words/table.ts";
import { PRESETS } from "./preset.ts";
import { EMPTY, type ViewerState, withKey, withPane } from "./state.ts";
import type { Viewer } from "./viewer.ts";

export type Change = (state: ViewerState) => ViewerState;
export type Act = (change: Change) => void;

/** The tools by their letters. */
export const TOOL_KEYS: readonly (readonly [string, string])[] = [
  ["w", "WindowLevel"],
  ["p", "Pan"],
  ["z", "Zoom"],
  ["s", "StackScroll"],
  ["l", "Length"],
  ["a", "Angle"],
  ["o", "EllipticalROI"],
  ["h", "Probe"],
  ["t", "ArrowAnnotate"],
];

const FRAMES_OF_STACK = 10;

function pane(changed: (state: ViewerState) => object): Change {
  return (state) => withPane(state, state.active, changed(state));
}

const activePane = (state: ViewerState) => state.panes[state.active];

export const invert = pane((state) => ({ invert: !activePane(state)?.invert }));
export const rotate = pane((state) => ({ rotation: ((activePane(state)?.rotation ?? 0) + 90) % 360 }));
export const flip = pane((state) => ({ flip: !activePane(state)?.flip }));
export const step = (by: number) => pane((state) => ({ at: (activePane(state)?.at ?? 0) + by }));
export const windowed = (window: readonly [number, number]) => pane(() => ({ window }));
export const reset = pane(() => ({ zoom: 1, pan: [0, 0], rotation: 0, flip: false, invert: false }));
export const erase: Change = (state) => ({ ...state, marks: EMPTY.marks });

export const markKey: Change = (state) => {
  const shown = activePane(state);
  return shown ? withKey(state, shown.series, shown.at) : state;
};

/** Starts to play at the rate of the file, or at ten frames a second; stops where it plays. */
export function playAt(rate: number): Change {
  return (state) => ({ ...state, play: state.play ? 0 : rate || FRAMES_OF_STACK });
}

/** Two panes where there is one, and one where there are more. */
export const twoUp: Change = (state) => {
  const first = state.panes[0];
  if (!first) return state;
  return state.layout === "two"
    ? { ...state, layout: "one", panes: [first], active: 0 }
    : { ...state, layout: "two", panes: [first, state.panes[1] ?? first], active: 0 };
};

export const mpr: Change = (state) => ({
  ...state,
  play: 0,
  layout: state.layout === "mpr" ? (state.panes.length > 1 ? "two" : "one") : "mpr",
});

/** What single keys do. */
function changeOf(key: string, viewer: Viewer): Change | undefined {
  const series = viewer.seriesOf(activePane(viewer.state.value));
  const changes: Readonly<Record<string, Change>> = {
    i: invert,
    r: rotate,
    f: flip,
    k: markKey,
    b: twoUp,
    Home: reset,
    ArrowDown: step(1),
    ArrowUp: step(-1),
    PageDown: step(10),
    PageUp: step(-10),
    " ": playAt(series?.rate ?? 0),
    ...(series?.isVolume ? { m: mpr } : {}),
  };
  const preset = PRESETS.find((each) => each.key === key);
  if (preset) return series?.modality === "CT" ? windowed(preset.window) : undefined;
  return changes[key];
}

/** Listens to the keys of the viewer; returns how to stop. */
export function listenToViewerKeys(viewer: Viewer): () => void {
  const heed = (event: KeyboardEvent) => {
    const isControl = event.target instanceof Element && event.target.closest("button, a, summary, select") !== null;
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || (isControl && (event.key === " " || event.key === "Enter"))) return;
    const tool = TOOL_KEYS.find(([key]) => key === event.key)?.[1];
    const change = changeOf(event.key, viewer);
    if (!tool && !change) return;
    event.preventDefault();
    if (tool) viewer.use(tool);
    else if (change) void viewer.change(clamped(change(viewer.state.value), viewer));
  };
  // Before the library, whose elements keep all keys to themselves.
  addEventListener("keydown", heed, { capture: true });
  return () => removeEventListener("keydown", heed, { capture: true });
}

/** A state whose panes show frames that there are. */
function clamped(state: ViewerState, viewer: Viewer): ViewerState {
  const panes = state.panes.map((each) => ({
    ...each,
    at: Math.min(Math.max(0, each.at), (viewer.seriesOf(each)?.frames.length ?? 1) - 1),
  }));
  return { ...state, panes };
}

/** The map of keys, for the help. */
export const KEYS: readonly KeyHelp[] = [
  ...TOOL_KEYS.map(([keys, tool]) => ({ keys: keys.toUpperCase(), does: `tool.${tool}` as Key })),
  ...PRESETS.map(({ key, name }) => ({ keys: key, does: `preset.${name}` as Key })),
  { keys: "↓", does: "tool.next" },
  { keys: "↑", does: "tool.previous" },
  { keys: "Space", does: "tool.play" },
  { keys: "I", does: "tool.invert" },
  { keys: "R", does: "tool.rotate" },
  { keys: "F", does: "tool.flip" },
  { keys: "B", does: "tool.two" },
  { keys: "M", does: "tool.mpr" },
  { keys: "K", does: "tool.key" },
  { keys: "Home", does: "tool.reset" },
];
