// My day: what came in, what is due today, what is going on now.

import "./day_page.css";
import type { Appointment, DiagnosticReport, Encounter, Patient, ServiceRequest, Task } from "fhir/r4";
import { useMemo } from "preact/hooks";
import { type Found, search } from "../fhir/client.ts";
import { firstText, idOf, referred, textOf } from "../fhir/reading.ts";
import { person } from "../login/session.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Empty } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { Tag, toneOf, toneOfPriority } from "../parts/tag.tsx";
import { language, say, sayCode, sayDate, sayDay, sayTime, sayWhen } from "../words/say.ts";

const SECONDS_BETWEEN_LOOKS = 20;
const NONE = { matches: [], included: new Map(), total: 0, next: undefined };
const OPEN = "requested,received,accepted,in-progress,on-hold,ready";
const URGENCY = ["stat", "asap", "urgent", "routine"];

export function DayPage() {
  const now = useMemo(() => new Date(), []);
  const requests = useAsked(openTasks, [], SECONDS_BETWEEN_LOOKS);
  const appointments = useAsked((stop) => appointmentsOf(now, stop), [now], SECONDS_BETWEEN_LOOKS);
  const sessions = useAsked(sessionsNow, [], SECONDS_BETWEEN_LOOKS);
  const reports = useAsked(latestReports, [], SECONDS_BETWEEN_LOOKS);
  return (
    <>
      <div class="page-head">
        <div>
          <h1>{person.value ? say("day.hello", { name: person.value.name }) : say("nav.day")}</h1>
          <p>{language.value && sayDay(now)}</p>
        </div>
      </div>
      <div class="day">
        <section class="card day-requests" aria-labelledby="requests">
          <h2 id="requests">
            {say("day.requests")} <Count of={requests.value.value?.matches.length} />
          </h2>
          <Shown of={requests.value} bones={6} none={<Requests found={NONE} />}>
            {(found) => <Requests found={found} />}
          </Shown>
        </section>
        <section class="card" aria-labelledby="now">
          <h2 id="now">{say("day.now")}</h2>
          <Shown of={sessions.value} bones={2} none={<Sessions found={NONE} />}>
            {(found) => <Sessions found={found} />}
          </Shown>
        </section>
        <section class="card" aria-labelledby="appointments">
          <h2 id="appointments">{say("day.appointments")}</h2>
          <Shown of={appointments.value} bones={3} none={<Appointments found={NONE} />}>
            {(found) => <Appointments found={found} />}
          </Shown>
        </section>
        <section class="card" aria-labelledby="reports">
          <h2 id="reports">{say("day.reports")}</h2>
          <Shown of={reports.value} bones={3} none={<Reports found={NONE} />}>
            {(found) => <Reports found={found} />}
          </Shown>
        </section>
      </div>
    </>
  );
}

/** Tasks about a request: other work, such as images without a patient, has a page of its own. */
async function openTasks(stop: AbortSignal): Promise<Found<Task>> {
  const found = await search(
    "Task",
    { status: OPEN, _include: ["Task:patient", "Task:focus", "Task:requester"], _sort: "-authored-on", _count: 40 },
    stop,
  );
  return { ...found, matches: found.matches.filter((task) => task.focus?.reference?.startsWith("ServiceRequest/")) };
}

function appointmentsOf(day: Date, stop: AbortSignal): Promise<Found<Appointment>> {
  const date = `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, "0")}-${String(day.getDate()).padStart(2, "0")}`;
  return search(
    "Appointment",
    { date, "status:not": "cancelled", _include: "Appointment:patient", _sort: "date", _count: 40 },
    stop,
  );
}

function sessionsNow(stop: AbortSignal): Promise<Found<Encounter>> {
  return search(
    "Encounter",
    {
      class: "VR",
      status: "arrived,triaged,in-progress,onleave",
      _include: "Encounter:patient",
      _sort: "-date",
      _count: 10,
    },
    stop,
  );
}

function latestReports(stop: AbortSignal): Promise<Found<DiagnosticReport>> {
  return search(
    "DiagnosticReport",
    { status: "final,amended,corrected", _include: "DiagnosticReport:patient", _sort: "-issued", _count: 8 },
    stop,
  );
}

function Count({ of }: { of: number | undefined }) {
  return of ? <Tag tone="accent">{of}</Tag> : null;
}

function PatientLink({ reference, included }: { reference: Task["for"]; included: Found<unknown>["included"] }) {
  const id = idOf(reference, "Patient");
  const name = referred(reference, included) || say(reference?.reference ? "patient.unshared" : "patient.unnamed");
  return id ? <a href={`/patients/${id}`}>{name}</a> : name;
}

/** Requests in the order in which they should be looked at: by urgency, then the oldest first. */
export function byUrgency(tasks: readonly Task[]): Task[] {
  const rank = (task: Task) => {
    const at = URGENCY.indexOf(task.priority ?? "routine");
    return at < 0 ? URGENCY.length : at;
  };
  return tasks.toSorted(
    (one, other) => rank(one) - rank(other) || (one.authoredOn ?? "").localeCompare(other.authoredOn ?? ""),
  );
}

function Requests({ found }: { found: Found<Task> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("day.requests.none")}>
        <p>{say("day.requests.none.why")}</p>
      </Empty>
    );
  }
  const focusOf = (task: Task) => found.included.get(task.focus?.reference ?? "") as ServiceRequest | undefined;
  return (
    <Table
      caption={say("day.requests")}
      rows={byUrgency(found.matches)}
      keyOf={(task) => task.id ?? ""}
      columns={[
        {
          label: say("day.patient"),
          cell: (task) => (
            <>
              <PatientLink reference={task.for} included={found.included} />{" "}
              {facts(found.included.get(task.for?.reference ?? "") as Patient | undefined)}
            </>
          ),
        },
        {
          label: say("day.question"),
          cell: (task) => {
            const request = focusOf(task);
            return (
              firstText(request?.reasonCode) || textOf(request?.code) || textOf(task.code) || task.description || ""
            );
          },
        },
        { label: say("day.from"), cell: (task) => referred(task.requester, found.included) },
        {
          label: say("day.sent"),
          cell: (task) => <time dateTime={task.authoredOn}>{sayWhen(task.authoredOn)}</time>,
        },
        {
          label: say("day.status"),
          cell: (task) => (
            <span class="row day-tags">
              {task.priority && task.priority !== "routine" && (
                <Tag tone={toneOfPriority(task.priority)}>{sayCode("priority", task.priority)}</Tag>
              )}
              <Tag tone={toneOf(task.status)}>{sayCode("task", task.status)}</Tag>
            </span>
          ),
        },
      ]}
    />
  );
}

function facts(patient: Patient | undefined) {
  const text = [patient?.gender && sayCode("gender", patient.gender), sayDate(patient?.birthDate)]
    .filter(Boolean)
    .join(", ");
  return text && <span class="soft small day-facts">{text}</span>;
}

function Appointments({ found }: { found: Found<Appointment> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("day.appointments.none")} icon="appointments">
        <p>{say("day.appointments.none.why")}</p>
      </Empty>
    );
  }
  return (
    <ol class="day-list">
      {found.matches.map((appointment) => (
        <li key={appointment.id}>
          <time dateTime={appointment.start}>{sayTime(appointment.start)}</time>
          <div>
            <strong>
              <PatientLink
                reference={appointment.participant.find((each) => idOf(each.actor, "Patient"))?.actor}
                included={found.included}
              />
            </strong>
            <p class="soft">{appointment.description ?? firstText(appointment.serviceType)}</p>
          </div>
          <Tag tone={toneOf(appointment.status)}>{sayCode("appointment", appointment.status)}</Tag>
        </li>
      ))}
    </ol>
  );
}

function Sessions({ found }: { found: Found<Encounter> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("day.now.none")} icon="video">
        <p>{say("day.now.none.why")}</p>
      </Empty>
    );
  }
  return (
    <ol class="day-list">
      {found.matches.map((encounter) => (
        <li key={encounter.id}>
          <time dateTime={encounter.period?.start}>{sayTime(encounter.period?.start)}</time>
          <div>
            <strong>
              <PatientLink reference={encounter.subject} included={found.included} />
            </strong>
            <p class="soft">{firstText(encounter.reasonCode) || firstText(encounter.type)}</p>
          </div>
          <Tag tone={toneOf(encounter.status)}>{sayCode("encounter", encounter.status)}</Tag>
        </li>
      ))}
    </ol>
  );
}

function Reports({ found }: { found: Found<DiagnosticReport> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("day.reports.none")} icon="report">
        <p>{say("day.reports.none.why")}</p>
      </Empty>
    );
  }
  return (
    <ol class="day-list">
      {found.matches.map((report) => (
        <li key={report.id}>
          <time dateTime={report.issued}>{sayDate(report.issued ?? report.effectiveDateTime)}</time>
          <div>
            <strong>
              <PatientLink reference={report.subject} included={found.included} />
            </strong>
            <p class="soft">{report.conclusion ?? textOf(report.code)}</p>
          </div>
        </li>
      ))}
    </ol>
  );
}
