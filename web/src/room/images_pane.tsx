// Images looked at together: who presents decides what is shown, the others follow or look for themselves; pointers
// with names.

import "../images/viewer_page.css";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { metadataOf } from "../images/archive.ts";
import { type Series, seriesOf } from "../images/series.ts";
import { type Act, listenToViewerKeys } from "../images/viewer/act.ts";
import { Panes } from "../images/viewer/panes.tsx";
import type { PaneState } from "../images/viewer/state.ts";
import { Toolbar } from "../images/viewer/toolbar.tsx";
import { Viewer } from "../images/viewer/viewer.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Icon } from "../parts/icon.tsx";
import { Bones, Empty } from "../parts/state.tsx";
import { say } from "../words/say.ts";
import { attempt } from "./people.tsx";
import type { Seat } from "./seat.ts";
import { Sender, viewedOf, windowOf, withReview } from "./sharing.ts";
import { type Cursor, may } from "./told.ts";

const MILLISECONDS_BETWEEN_POINTS = 60;
const MILLISECONDS_OF_TOUCH = 1_500;

export function ImagesPane({ seat }: { seat: Seat }) {
  const study = seat.review.value?.study ?? "";
  const series = useAsked<Series[]>(async (stop) => seriesOf(await metadataOf(study, stop)), [study]);
  return (
    <Shown of={series.value} bones={5}>
      {(found) => <Together key={study} seat={seat} series={found} />}
    </Shown>
  );
}

function firstPane(series: Series): PaneState {
  return { study: series.study, series: series.uid, at: series.isVolume ? Math.floor(series.frames.length / 2) : 0 };
}

function Together({ seat, series }: { seat: Seat; series: readonly Series[] }) {
  const viewer = useSignal<Viewer | undefined>(undefined);
  const isFollowing = useSignal(true);
  const review = seat.review.value;
  const isPresenter = review?.presenter === seat.me;
  const first = series.find((each) => !each.reason && each.frames.length);
  useEffect(() => {
    if (!first) return;
    const made = new Viewer();
    let isWanted = true;
    const ends: (() => void)[] = [];
    // What the library settles by itself is no wish to look elsewhere: only what a hand did is.
    let touched = Number.NEGATIVE_INFINITY;
    const touch = () => {
      touched = performance.now();
    };
    for (const name of ["pointerdown", "wheel", "keydown"]) {
      addEventListener(name, touch, { capture: true, passive: true });
      ends.push(() => removeEventListener(name, touch, { capture: true }));
    }
    const begin = async () => {
      await made.begin(series);
      if (!isWanted) return made.end();
      const empty = { ...made.state.value, panes: [firstPane(first)] };
      await made.apply(withReview(empty, seat.review.value, series));
      viewer.value = made;
      Object.assign(globalThis, { nhipcauViewer: made });
      ends.push(listenToViewerKeys(made));
      const sender = new Sender((event) => seat.gesture(event));
      ends.push(
        made.onChange((state) => {
          if (seat.review.value?.presenter === seat.me) {
            sender.send("viewport", viewedOf(state, series));
            sender.send("window", windowOf(state));
          } else if (performance.now() - touched < MILLISECONDS_OF_TOUCH) isFollowing.value = false;
        }),
      );
    };
    void begin();
    return () => {
      isWanted = false;
      for (const end of ends) end();
      viewer.value?.end();
    };
  }, [series]);
  useEffect(() => {
    const open = viewer.value;
    if (!open || isPresenter || !isFollowing.value) return;
    void open.apply(withReview(open.state.value, review, series));
  }, [viewer.value, review?.version, isFollowing.value, isPresenter]);
  if (!first) return <Empty title={say("viewer.empty")} icon="images" />;
  const open = viewer.value;
  if (!open) return <Bones rows={5} />;
  const act: Act = (change) => void open.change(change(open.state.value));
  const presenter = seat.room.value?.participants.find((each) => each.id === review?.presenter);
  return (
    <div class="together viewer">
      <p class="together-head">
        <Icon name="images" />
        <span>
          {isPresenter
            ? say("review.mine")
            : presenter
              ? say("review.by", { name: presenter.name })
              : say("review.nobody")}
        </span>
        {!isPresenter && may(seat.room.value, "present") && (
          <button type="button" class="button" onClick={() => attempt(seat.gesture({ type: "present" }))}>
            {say("review.present")}
          </button>
        )}
        {!isPresenter && !isFollowing.value && (
          <button
            type="button"
            class="button main"
            onClick={() => {
              isFollowing.value = true;
            }}
          >
            {say("review.follow")}
          </button>
        )}
        {isPresenter && (
          <button type="button" class="button" onClick={() => attempt(seat.gesture({ type: "close" }))}>
            {say("room.images.close")}
          </button>
        )}
      </p>
      <Toolbar viewer={open} act={act} />
      <Pointers seat={seat} viewer={open} series={series}>
        <Panes viewer={open} act={act} />
      </Pointers>
    </div>
  );
}

/** Tells where one's own pointer is on the image, and shows those of others. */
function Pointers({
  seat,
  viewer,
  series,
  children,
}: {
  seat: Seat;
  viewer: Viewer;
  series: readonly Series[];
  children: preact.ComponentChildren;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const told = useRef(0);
  const canvas = () => frame.current?.querySelector<HTMLElement>(".viewer-canvas");
  const shownFrame = () => {
    const pane = viewer.state.value.panes[0];
    return series.find((each) => each.uid === pane?.series)?.frames[pane?.at ?? 0];
  };
  const point = (event: PointerEvent) => {
    const box = canvas()?.getBoundingClientRect();
    const image = viewer.stack(0)?.getImageData()?.imageData;
    const instance = shownFrame()?.instance;
    if (!box || !image || !instance || performance.now() - told.current < MILLISECONDS_BETWEEN_POINTS) return;
    const at = viewer.pointAt(0, event.clientX - box.left, event.clientY - box.top);
    if (!at) return;
    told.current = performance.now();
    const [x, y] = image.worldToIndex?.([...at.point] as [number, number, number]) ?? [];
    if (x === undefined || y === undefined) return;
    void seat.gesture({ type: "cursor", instance, x: round(x), y: round(y) }).catch(() => {});
  };
  const placeOf = (cursor: Cursor): readonly [number, number] | undefined => {
    const stack = viewer.stack(0);
    const image = stack?.getImageData()?.imageData;
    const inner = canvas();
    const outer = frame.current;
    if (!stack || !image || !inner || !outer || shownFrame()?.instance !== cursor.instance) return undefined;
    const world = image.indexToWorld?.([cursor.x, cursor.y, 0]);
    if (!world) return undefined;
    const [x, y] = stack.worldToCanvas(world as [number, number, number]);
    const [a, b] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
    return [x + a.left - b.left, y + a.top - b.top];
  };
  // Places change with the cursors and with whatever is drawn anew.
  const cursors = viewer.drawn.value >= 0 ? [...seat.cursors.value.values()] : [];
  return (
    <div ref={frame} class="pointers" onPointerMove={point}>
      {children}
      {cursors.map((cursor) => {
        const at = cursor.by === seat.me ? undefined : placeOf(cursor);
        return (
          at && (
            <span
              key={cursor.by}
              class="pointer"
              data-by={cursor.by}
              style={{ transform: `translate(${at[0]}px, ${at[1]}px)` }}
            >
              <Icon name="cross" />
              {cursor.name}
            </span>
          )
        );
      })}
    </div>
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
