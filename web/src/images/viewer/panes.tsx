// The panes that images are drawn in, and what is written over them.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../../parts/icon.tsx";
import { say, sayDate } from "../../words/say.ts";
import type { Key } from "../../words/table.ts";
import { metadataOf, studiesOf } from "../archive.ts";
import { type DataSet, isoDate, textOf, textsOf } from "../dicom.ts";
import { type Series, seriesOf } from "../series.ts";
import type { Act } from "./act.ts";
import { lettersOf } from "./orientation.ts";
import { PLANES, type Plane, type Viewer } from "./viewer.ts";

export function Panes({ viewer, act }: { viewer: Viewer; act: Act }) {
  const { layout, panes, active } = viewer.state.value;
  return (
    <section class={`viewer-panes ${layout}`}>
      {layout === "mpr"
        ? PLANES.map((plane) => (
            <Slot key={plane} viewer={viewer} slot={`plane-${plane}`} label={say(`viewer.plane.${plane}` as Key)}>
              <PlaneWords viewer={viewer} plane={plane} />
            </Slot>
          ))
        : panes.map((pane, at) => (
            <Slot
              key={at}
              viewer={viewer}
              slot={`pane-${at}`}
              label={say("viewer.pane", { number: at + 1 })}
              isActive={layout === "two" && at === active}
              choose={() => act((state) => (state.active === at ? state : { ...state, active: at }))}
            >
              <PaneWords viewer={viewer} at={at} />
              {layout === "two" && at === 1 && <Compare viewer={viewer} act={act} chosen={pane.series} />}
            </Slot>
          ))}
    </section>
  );
}

interface SlotProps {
  readonly viewer: Viewer;
  readonly slot: string;
  readonly label: string;
  readonly isActive?: boolean;
  readonly choose?: () => void;
  readonly children: ComponentChildren;
}

function Slot({ viewer, slot, label, isActive, choose, children }: SlotProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => (element.current ? viewer.attach(slot, element.current) : undefined), [viewer, slot]);
  return (
    <div class={`viewer-pane ${isActive ? "active" : ""}`} onPointerDown={choose}>
      <div
        ref={element}
        class="viewer-canvas"
        role="img"
        aria-label={label}
        onContextMenu={(event) => event.preventDefault()}
      />
      {children}
    </div>
  );
}

function PaneWords({ viewer, at }: { viewer: Viewer; at: number }) {
  const { panes, keys } = viewer.state.value;
  const pane = panes[at];
  const series = viewer.seriesOf(pane);
  const set = series?.frames[pane?.at ?? 0]?.set;
  const problem = viewer.problems.value.get(at);
  const drawn = viewer.drawn.value;
  const camera = drawn >= 0 ? viewer.stack(at)?.getCamera() : undefined;
  const hasPlace = set && textOf(set, "position") !== "" ? camera : undefined;
  const [done, all] = viewer.loaded.value;
  if (!pane || !series || !set) return null;
  return (
    <>
      <p class="viewer-words top">
        <strong>{series.description}</strong>
        <span>{sayDate(isoDate(textOf(set, "date")))}</span>
      </p>
      <p class="viewer-words bottom numbers">
        <span data-slice={pane.at + 1}>{say("viewer.slice", { at: pane.at + 1, count: series.frames.length })}</span>
        {pane.window && <span>{say("viewer.window", { center: pane.window[0], width: pane.window[1] })}</span>}
        <span>{say("viewer.zoomed", { zoom: Math.round((pane.zoom ?? 1) * 100) })}</span>
        {keys.some((key) => key.series === pane.series && key.at === pane.at) && (
          <span class="viewer-key">
            <Icon name="star" /> {say("viewer.keys")}
          </span>
        )}
      </p>
      <Letters camera={hasPlace} />
      {done < all && at === viewer.state.value.active && (
        <progress
          class="viewer-progress"
          value={done}
          max={all}
          aria-label={say("viewer.loading", { done, count: all })}
        />
      )}
      {problem && (
        <div class="viewer-problem" role="alert">
          <Icon name="alert" />
          <strong>{say("reason.title")}</strong>
          <p>{say("reason.failed", { text: problem })}</p>
        </div>
      )}
    </>
  );
}

function PlaneWords({ viewer, plane }: { viewer: Viewer; plane: Plane }) {
  const drawn = viewer.drawn.value;
  const camera = drawn >= 0 ? viewer.plane(plane)?.getCamera() : undefined;
  return (
    <>
      <p class={`viewer-words top plane-${plane}`}>
        <strong>{say(`viewer.plane.${plane}` as Key)}</strong>
      </p>
      <Letters camera={camera} />
    </>
  );
}

function Letters({
  camera,
}: {
  camera: { viewUp?: ArrayLike<number>; viewPlaneNormal?: ArrayLike<number> } | undefined;
}) {
  const letters =
    camera?.viewUp && camera.viewPlaneNormal
      ? lettersOf(Array.from(camera.viewUp), Array.from(camera.viewPlaneNormal))
      : undefined;
  if (!letters) return null;
  return (
    <span class="viewer-letters" aria-hidden="true">
      <span>{letters.top}</span>
      <span>{letters.right}</span>
      <span>{letters.bottom}</span>
      <span>{letters.left}</span>
    </span>
  );
}

/** What the second pane shows: another series of the study, or one of a study before. */
function Compare({ viewer, act, chosen }: { viewer: Viewer; act: Act; chosen: string }) {
  const others = useSignal<readonly Series[]>([]);
  const first = viewer.seriesOf(viewer.state.value.panes[0]);
  useEffect(() => {
    let isWanted = true;
    if (first) {
      void comparable(first).then((found) => {
        if (!isWanted) return;
        viewer.add(found);
        others.value = found;
        const prior = found.find((each) => each.study !== first.study && each.modality === first.modality);
        if (prior && chosen === first.uid) show(prior.uid);
      });
    }
    return () => {
      isWanted = false;
    };
  }, [first?.study]);
  const show = (uid: string) => {
    const series = others.value.find((each) => each.uid === uid);
    if (series)
      act((state) => ({
        ...state,
        panes: state.panes.map((pane, at) =>
          at === 1 ? { study: series.study, series: uid, at: Math.floor(series.frames.length / 2) } : pane,
        ),
      }));
  };
  return (
    <div class="viewer-compare">
      <label>
        <span class="unseen">{say("viewer.prior")}</span>
        <select class="input" value={chosen} onChange={(event) => show(event.currentTarget.value)}>
          {others.value.map((each) => (
            <option key={each.uid} value={each.uid}>
              {[
                each.study === first?.study ? say("viewer.prior.same") : sayDate(isoDate(textOf(each.set, "date"))),
                each.modality,
                each.description,
              ].join(" ")}
            </option>
          ))}
        </select>
      </label>
      <label class="viewer-sync">
        <input
          type="checkbox"
          checked={viewer.state.value.sync}
          onChange={(event) => act((state) => ({ ...state, sync: event.currentTarget.checked }))}
        />
        {say("viewer.sync")}
      </label>
    </div>
  );
}

const MOST_COMPARED = 4;

async function comparable(first: Series): Promise<Series[]> {
  const { set } = first;
  const patient = textOf(set, "patientId");
  const studies = patient ? await studiesOf(patient) : [];
  // Those of the same kind first, the latest before.
  const rank = (each: DataSet) =>
    (textsOf(each, "modalities").includes(first.modality) ? "1" : "0") + textOf(each, "date");
  const others = studies
    .filter((each) => textOf(each, "study") !== first.study)
    .toSorted((one, other) => rank(other).localeCompare(rank(one)));
  const uids = [first.study, ...others.map((each) => textOf(each, "study"))].slice(0, MOST_COMPARED);
  const all = await Promise.all(uids.map(async (uid) => seriesOf(await metadataOf(uid))));
  return all.flat().filter((each) => !each.reason && each.frames.length);
}
