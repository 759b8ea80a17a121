// A study that is open: series on the left, images in the middle, report and measurements on the right.

import "./viewer_page.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Icon } from "../parts/icon.tsx";
import { Bones, Empty } from "../parts/state.tsx";
import { pageKeys } from "../shell/keyboard.tsx";
import { place, setQuery } from "../shell/router.ts";
import { ageOf, say, sayCode, sayDate } from "../words/say.ts";
import { isoDate, personName, textOf } from "./dicom.ts";
import { firstShown, paneOf, type Series } from "./series.ts";
import { type Act, KEYS, listenToViewerKeys } from "./viewer/act.ts";
import { Panes } from "./viewer/panes.tsx";
import { Rack } from "./viewer/rack.tsx";
import { Report } from "./viewer/report.tsx";
import { Toolbar } from "./viewer/toolbar.tsx";
import { Viewer } from "./viewer/viewer.ts";

const SEXES: Readonly<Record<string, string>> = { F: "female", M: "male", O: "other" };

export function OpenStudy({ series }: { series: readonly Series[] }) {
  const viewer = useSignal<Viewer | undefined>(undefined);
  const isReportShown = useSignal(innerWidth > 1100);
  const first = firstShown(series, place.value.query.get("series"));
  useEffect(() => {
    if (!first) return;
    const made = new Viewer();
    let isWanted = true;
    let stopKeys = () => {};
    void made.begin(series).then(async () => {
      if (!isWanted) return made.end();
      await made.apply({ ...made.state.value, panes: [paneOf(first)] });
      viewer.value = made;
      Object.assign(globalThis, { nhipcauViewer: made });
      stopKeys = listenToViewerKeys(made);
    });
    pageKeys.value = KEYS;
    return () => {
      isWanted = false;
      stopKeys();
      pageKeys.value = [];
      if (viewer.value) made.end();
    };
  }, [series]);
  if (!first) {
    return (
      <div class="viewer-empty">
        <Heading series={series[0]} />
        <Empty title={say("viewer.empty")} icon="images">
          {series.map((each) => (
            <p key={each.uid}>{each.reason && say(`reason.${each.reason}`)}</p>
          ))}
          <a class="button" href="/images">
            {say("act.back")}
          </a>
        </Empty>
      </div>
    );
  }
  const open = viewer.value;
  const act: Act = (change) => open && void open.change(change(open.state.value));
  return (
    <div class={`viewer ${isReportShown.value ? "with-report" : ""}`}>
      <header class="viewer-head">
        <a class="button quiet" href="/images" aria-label={say("act.back")}>
          <Icon name="back" />
        </a>
        <Heading series={first} />
        <button
          type="button"
          class="button quiet viewer-report-button"
          aria-expanded={isReportShown.value}
          onClick={() => {
            isReportShown.value = !isReportShown.value;
          }}
        >
          <Icon name="report" />
          <span>{say("viewer.report")}</span>
        </button>
      </header>
      {open ? (
        <>
          <Toolbar viewer={open} act={act} />
          <Rack
            series={series}
            viewer={open}
            show={(each) => {
              setQuery({ series: each.uid });
              act((state) => ({
                ...state,
                layout: state.layout === "mpr" ? "one" : state.layout,
                panes: state.panes.map((pane, at) => (at === state.active ? paneOf(each) : pane)),
              }));
            }}
          />
          <Panes viewer={open} act={act} />
          {isReportShown.value && <Report viewer={open} study={first.study} act={act} />}
        </>
      ) : (
        <div class="viewer-wait">
          <Bones rows={5} />
        </div>
      )}
    </div>
  );
}

function Heading({ series }: { series: Series | undefined }) {
  const set = series?.set ?? {};
  const born = isoDate(textOf(set, "birthDate"));
  const age = ageOf(born || undefined);
  const facts = [
    sayCode("gender", SEXES[textOf(set, "sex")]),
    born && sayDate(born) + (age === undefined ? "" : ` (${say("patient.age", { age })})`),
    textOf(set, "patientId"),
    textOf(set, "description"),
    sayDate(isoDate(textOf(set, "date"))),
  ];
  return (
    <div class="viewer-heading">
      <h1>{personName(set) || say("images.unnamed")}</h1>
      <p class="soft small numbers">{facts.filter(Boolean).join(" · ")}</p>
    </div>
  );
}
