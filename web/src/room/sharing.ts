// What is shared of a viewer: the view and the window of the pane that is looked at (docs/reference/telesession.md).

import type { Series } from "../images/series.ts";
import type { PaneState, ViewerState } from "../images/viewer/state.ts";
import type { Review } from "./told.ts";

type Members = Readonly<Record<string, string | number | boolean>>;

/** The view of the active pane, as the members of the event `viewport`. */
export function viewedOf(state: ViewerState, series: readonly Series[]): Members | undefined {
  const pane = state.panes[state.active];
  const frame = series.find((each) => each.uid === pane?.series)?.frames[pane?.at ?? 0];
  if (!pane || !frame) return undefined;
  return {
    series: pane.series,
    instance: frame.instance,
    frame: pane.at + 1,
    x: pane.pan?.[0] ?? 0,
    y: pane.pan?.[1] ?? 0,
    zoom: pane.zoom ?? 1,
    rotation: pane.rotation ?? 0,
    flipHorizontal: pane.flip ?? false,
    invert: pane.invert ?? false,
  };
}

export function windowOf(state: ViewerState): Members | undefined {
  const window = state.panes[state.active]?.window;
  return window && { center: window[0], width: window[1] };
}

/** A state with what is shared in the place of the first pane; a series that is not known leaves it as it is. */
export function withReview(state: ViewerState, review: Review | undefined, series: readonly Series[]): ViewerState {
  const view = review?.viewport;
  const [pane] = state.panes;
  const shown = series.find((each) => each.uid === view?.series);
  if (!pane) return state;
  const window = review?.window;
  const moved: PaneState =
    view && shown
      ? {
          study: shown.study,
          series: shown.uid,
          at: Math.min(Number(view.frame ?? 1), shown.frames.length) - 1,
          pan: [Number(view.x ?? 0), Number(view.y ?? 0)],
          zoom: Number(view.zoom ?? 1),
          rotation: Number(view.rotation ?? 0),
          flip: view.flipHorizontal === true,
          invert: view.invert === true,
        }
      : pane;
  const windowed = window ? { ...moved, window: [window.center, window.width] as const } : moved;
  return { ...state, layout: "one", active: 0, play: 0, panes: [windowed] };
}

/** Sends the latest of each kind of event, one after the other: what came meanwhile and is out of date is left out. */
export class Sender {
  private readonly latest = new Map<string, Members>();
  private readonly sent = new Map<string, string>();
  private isSending = false;

  constructor(private readonly deliver: (event: Members) => Promise<void>) {}

  send(type: string, members: Members | undefined): void {
    if (!members) return;
    this.latest.set(type, members);
    if (!this.isSending) void this.run();
  }

  private async run(): Promise<void> {
    this.isSending = true;
    for (;;) {
      const [next] = this.latest;
      if (!next) break;
      const [type, members] = next;
      this.latest.delete(type);
      const text = JSON.stringify(members);
      if (this.sent.get(type) === text) continue;
      this.sent.set(type, text);
      await this.deliver({ type, ...members }).catch(() => this.sent.delete(type));
    }
    this.isSending = false;
  }
}
