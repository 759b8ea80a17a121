// What a viewer shows, as a small JSON: what is shared in a session, and put back for who comes late.

export type Layout = "one" | "two" | "mpr";
export type Point = readonly [number, number, number];

/** What one pane shows. Sizes are relative to the pane, so that screens of any size agree. */
export interface PaneState {
  readonly study: string;
  readonly series: string;
  /** The number of the frame in the series, from 0. */
  readonly at: number;
  /** Centre and width of the window; what the file says where it is left out. */
  readonly window?: readonly [number, number];
  readonly invert?: boolean;
  readonly rotation?: number;
  readonly flip?: boolean;
  readonly zoom?: number;
  /** As parts of the pane's height. */
  readonly pan?: readonly [number, number];
}

/** A measurement or an arrow: where it is in the patient, and on which frame. */
export interface Mark {
  readonly id: string;
  readonly tool: string;
  readonly points: readonly Point[];
  readonly series: string;
  readonly at: number;
  readonly text?: string;
}

export interface ViewerState {
  readonly layout: Layout;
  readonly panes: readonly PaneState[];
  readonly active: number;
  /** Whether two panes go together. */
  readonly sync: boolean;
  /** Frames a second while it plays, 0 while it does not. */
  readonly play: number;
  /** Where the planes of the volume meet. */
  readonly cross?: Point;
  readonly marks: readonly Mark[];
  /** Key images: the series and the number of the frame. */
  readonly keys: readonly { readonly series: string; readonly at: number }[];
}

export const EMPTY: ViewerState = { layout: "one", panes: [], active: 0, sync: true, play: 0, marks: [], keys: [] };

/** A state with one pane changed. */
export function withPane(state: ViewerState, at: number, changed: Partial<PaneState>): ViewerState {
  return { ...state, panes: state.panes.map((pane, index) => (index === at ? { ...pane, ...changed } : pane)) };
}

/** A state with a key image more, or less where it was one. */
export function withKey(state: ViewerState, series: string, at: number): ViewerState {
  const others = state.keys.filter((key) => key.series !== series || key.at !== at);
  return { ...state, keys: others.length < state.keys.length ? others : [...state.keys, { series, at }] };
}

/** What came from somebody else, as a state; undefined for what is none. */
export function stateOf(value: unknown): ViewerState | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const given = value as Partial<ViewerState>;
  const layouts: readonly unknown[] = ["one", "two", "mpr"];
  const isPane = (pane: unknown) => {
    const each = pane as Partial<PaneState> | null;
    return typeof each?.series === "string" && typeof each.study === "string" && Number.isInteger(each.at);
  };
  const isMark = (mark: unknown) => {
    const each = mark as Partial<Mark> | null;
    return (
      typeof each?.id === "string" &&
      typeof each.tool === "string" &&
      Array.isArray(each.points) &&
      each.points.every(isPoint)
    );
  };
  if (!layouts.includes(given.layout) || !Array.isArray(given.panes) || !given.panes.every(isPane)) return undefined;
  return { ...EMPTY, ...given, marks: (given.marks ?? []).filter(isMark) } as ViewerState;
}

function isPoint(value: unknown): boolean {
  return Array.isArray(value) && value.length === 3 && value.every(Number.isFinite);
}
