// A patient: the strip, and everything in the record by date.

import "./patient_page.css";
import type { FhirResource, Patient } from "fhir/r4";
import { following, queryText, read } from "../fhir/client.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Icon } from "../parts/icon.tsx";
import { PatientStrip } from "../parts/patient_strip.tsx";
import { Empty } from "../parts/state.tsx";
import { Tag, toneOf } from "../parts/tag.tsx";
import type { PageProps } from "../shell/page.ts";
import { place, setQuery } from "../shell/router.ts";
import { say, sayCode, sayDate, sayTime } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import { type Event, type Kind, ROWS, studyUid, timelineOf } from "./timeline.ts";

const KINDS: readonly Kind[] = ["care", "results", "images", "medicines", "problems", "papers"];
const MOST_SHOWN = 500;

interface RecordOf {
  readonly events: readonly Event[];
  readonly isCut: boolean;
}

export function PatientPage({ parts }: PageProps) {
  const id = parts.id ?? "";
  const patient = useAsked<Patient>((stop) => read("Patient", id, stop), [id]);
  const record = useAsked<RecordOf>((stop) => recordOf(id, stop), [id], 30);
  return (
    <div class="patient">
      <Shown of={patient.value} bones={1}>
        {(found) => <PatientStrip patient={found} isHeading />}
      </Shown>
      {!patient.value.failure && (
        <section class="card" aria-labelledby="timeline">
          <div class="card-head">
            <h2 id="timeline">{say("patient.timeline")}</h2>
            <a class="small" href={`/console?ask=${encodeURIComponent(`Patient/${id}/$everything`)}`}>
              {say("patient.raw")}
            </a>
          </div>
          <Shown of={record.value} bones={8}>
            {(found) => <Timeline record={found} />}
          </Shown>
        </section>
      )}
    </div>
  );
}

/** Everything of a patient, page by page, up to what can be shown. */
async function recordOf(patient: string, stop: AbortSignal): Promise<RecordOf> {
  const query = { _type: Object.keys(ROWS).join(","), _count: 200 };
  const path = `Patient/${encodeURIComponent(patient)}/$everything?${queryText(query)}`;
  const resources: FhirResource[] = [];
  let url: string | undefined = `/fhir/${path}`;
  while (url && resources.length < MOST_SHOWN) {
    const page: Awaited<ReturnType<typeof following<FhirResource>>> = await following<FhirResource>(url, stop);
    resources.push(...page.included.values());
    url = page.next;
  }
  return { events: timelineOf(resources), isCut: url !== undefined };
}

function Timeline({ record }: { record: RecordOf }) {
  const kind = place.value.query.get("kind") ?? "";
  if (!record.events.length) {
    return (
      <Empty title={say("patient.timeline.none")}>
        <p>{say("patient.timeline.none.why")}</p>
      </Empty>
    );
  }
  const there = KINDS.filter((each) => record.events.some((event) => event.row.kind === each));
  const shown = record.events.filter((event) => !kind || event.row.kind === kind);
  return (
    <>
      <fieldset class="chips patient-kinds">
        <legend class="unseen">{say("patient.kinds")}</legend>
        {["", ...there].map((each) => (
          <button
            key={each}
            type="button"
            class="chip"
            aria-pressed={kind === each}
            onClick={() => setQuery({ kind: each })}
          >
            {say(`patient.kind.${each || "all"}` as Key)}
          </button>
        ))}
      </fieldset>
      <ol class="timeline">
        {shown.map((event, at) => (
          <Line
            key={`${event.resource.resourceType}/${event.resource.id}`}
            event={event}
            isNewDay={dayOf(event) !== dayOf(shown[at - 1])}
          />
        ))}
      </ol>
      {record.isCut && <p class="soft card-body">{say("patient.truncated", { count: MOST_SHOWN })}</p>}
    </>
  );
}

function dayOf(event: Event | undefined): string {
  return event ? sayDate(event.at) : "-";
}

function Line({ event, isNewDay }: { event: Event; isNewDay: boolean }) {
  const { resource, row } = event;
  const status = "status" in resource && typeof resource.status === "string" ? resource.status : "";
  const study = studyUid(resource);
  return (
    <li class={isNewDay ? "new-day" : ""}>
      <p class="timeline-date">
        {isNewDay && <time dateTime={event.at}>{sayDate(event.at) || say("patient.undated")}</time>}
        <span class="soft small">{sayTime(event.at)}</span>
      </p>
      <span class={`timeline-icon ${row.kind}`}>
        <Icon name={row.icon} />
      </span>
      <div>
        <p class="soft small">{sayCode("type", resource.resourceType)}</p>
        <p>
          <strong>{study ? <a href={`/images/${study}`}>{event.title || say("nav.images")}</a> : event.title}</strong>
        </p>
        {event.detail && event.detail !== event.title && <p>{event.detail}</p>}
      </div>
      {row.status && status && <Tag tone={toneOf(status)}>{sayCode(row.status, status)}</Tag>}
    </li>
  );
}
