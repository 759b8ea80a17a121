// A consultation: where it is, what is asked, with what, and what can be done next.

import "./requests.css";
import { useSignal } from "@preact/signals";
import type { Parameters, Practitioner, Task } from "fhir/r4";
import type { ComponentChildren } from "preact";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { nameOf } from "../fhir/reading.ts";
import { person } from "../login/session.ts";
import { type Asked, Shown, useAsked } from "../parts/asked.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { AreaField, ChoiceField, TextField } from "../parts/field.tsx";
import { Icon, type IconName } from "../parts/icon.tsx";
import { PatientStrip } from "../parts/patient_strip.tsx";
import { Tag, toneOf, toneOfPriority } from "../parts/tag.tsx";
import { notify } from "../shell/notices.tsx";
import type { PageProps } from "../shell/page.ts";
import { say, sayCode, sayInstant, sayTime } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import { bring, type Consultation, consultationOf, practitioners, STEPS, textsOf } from "./consultation.ts";
import { openBlob } from "./file.ts";
import { MinutesCard } from "./minutes_card.tsx";
import { Told } from "./told.tsx";

const SECONDS_BETWEEN_LOOKS = 15;

export function RequestPage({ parts }: PageProps) {
  const id = parts.id ?? "";
  const asked = useAsked((stop) => consultationOf(id, stop), [id], SECONDS_BETWEEN_LOOKS);
  return <Shown of={asked.value}>{(found) => <Opened of={found} asked={asked.value} />}</Shown>;
}

function Opened({ of, asked }: { of: Consultation; asked: Asked<Consultation> }) {
  const { request, patient } = of;
  const kind = request.category?.[0]?.coding?.[0]?.code;
  return (
    <div class="request">
      {patient ? (
        <PatientStrip patient={patient} />
      ) : (
        <p class="strip">
          <strong>{say("patient.unshared")}</strong>
          <span class="soft">{say("request.unshared")}</span>
        </p>
      )}
      <div class="page-head">
        <div>
          <h1>{say("request.title", { kind: sayCode("activity", kind) })}</h1>
          <p>
            {of.station} → {of.hub} · <time>{sayInstant(request.authoredOn)}</time>
          </p>
        </div>
        <span class="row">
          {request.priority && request.priority !== "routine" && (
            <Tag tone={toneOfPriority(request.priority)}>{sayCode("priority", request.priority)}</Tag>
          )}
          <Tag tone={toneOf(of.state)}>{sayCode("state", of.state)}</Tag>
        </span>
      </div>
      <Course state={of.state} />
      <Next of={of} again={asked.again} />
      <div class="request-columns">
        <section class="card" aria-labelledby="asked">
          <h2 id="asked">{say("request.asked")}</h2>
          <div class="card-body request-text">
            {textsOf(request).map((each, at) => (
              <p key={each} class={at ? "" : "request-question"}>
                {each}
              </p>
            ))}
            <Talk task={of.task} />
          </div>
        </section>
        <section class="card" aria-labelledby="with">
          <h2 id="with">{say("request.with")}</h2>
          <ul class="card-body plain-list">
            {of.papers.map((each) => (
              <li key={each.id}>
                <button
                  type="button"
                  class="button"
                  onClick={() => void openBlob(`/fhir/${each.content[0]?.attachment.url}`)}
                >
                  <Icon name="clip" />
                  {each.content[0]?.attachment.title ?? say("type.DocumentReference")}
                </button>
              </li>
            ))}
            {of.studies.length > 0 && (
              <li>
                <a class="button" href="/images">
                  <Icon name="images" />
                  {say("request.studies.count", { count: of.studies.length })}
                </a>
              </li>
            )}
            {of.papers.length + of.studies.length === 0 && <li class="soft">{say("request.with.none")}</li>}
          </ul>
        </section>
      </div>
      {of.session && ["in-progress", "finished", "closed"].includes(of.state) && (
        <MinutesCard of={of} again={asked.again} />
      )}
    </div>
  );
}

/** Where it is on its way. */
function Course({ state }: { state: string }) {
  const at = STEPS.indexOf((state === "asked" ? "requested" : state === "held" ? "accepted" : state) as "requested");
  return (
    <ol class="course" aria-label={say("request.course")}>
      {STEPS.map((each, index) => (
        <li
          key={each}
          class={index < at ? "done" : index === at ? "here" : ""}
          aria-current={index === at || undefined}
        >
          {index < at && <Icon name="check" />}
          {sayCode("state", each)}
        </li>
      ))}
    </ol>
  );
}

/** Questions and answers between hub and station. */
function Talk({ task }: { task: Task | undefined }) {
  if (!task?.note?.length) return null;
  return (
    <ul class="talk">
      {task.note.map((each) => (
        <li key={`${each.time}${each.text}`}>
          <span class="soft small">
            {each.authorReference?.display ?? each.authorString ?? ""} {sayInstant(each.time)}
          </span>
          <p>{each.text}</p>
        </li>
      ))}
    </ul>
  );
}

/** The events that ask for words, with the parameter that takes them. */
const WORDED: Readonly<Record<string, string>> = {
  reject: "reason",
  ask: "question",
  answer: "answer",
  cancel: "reason",
};
const ORDER = [
  "accept",
  "book",
  "start",
  "answer",
  "finish",
  "close",
  "ask",
  "reschedule",
  "submit",
  "reject",
  "cancel",
];
const ICONS: Readonly<Record<string, IconName>> = {
  accept: "check",
  book: "appointments",
  reschedule: "appointments",
  start: "video",
  close: "check",
};

function Next({ of, again }: { of: Consultation; again: () => void }) {
  const open = useSignal("");
  const isBusy = useSignal(false);
  const failure = useSignal<Failure | undefined>(undefined);
  const happen = async (event: string, parameter: Parameters["parameter"] = []) => {
    isBusy.value = true;
    failure.value = undefined;
    try {
      await bring(of.request.id ?? "", event, parameter);
      open.value = "";
      notify(say(`event.${event}.done` as Key));
      again();
    } catch (thrown) {
      failure.value = asFailure(thrown);
    } finally {
      isBusy.value = false;
    }
  };
  const events = ORDER.filter((each) => of.allowed.includes(each));
  const main = events[0];
  const mayEnter = of.session && ["booked", "in-progress", "accepted"].includes(of.state);
  const close = () => {
    open.value = "";
    failure.value = undefined;
  };
  return (
    <div class="card card-body next">
      {of.appointment?.start && (
        <p class="row">
          <Icon name="clock" />
          <strong>
            {say("request.when", { start: sayInstant(of.appointment.start), end: sayTime(of.appointment.end) })}
          </strong>
        </p>
      )}
      <div class="row">
        {mayEnter && (
          <a class="button main" href={`/rooms/${of.session}`}>
            <Icon name="video" />
            {say("room.enter")}
          </a>
        )}
        {events.map((each) => (
          <button
            key={each}
            type="button"
            class={`button ${each === main && !mayEnter ? "main" : ""}`}
            disabled={isBusy.value}
            onClick={() => {
              if (WORDED[each] || each === "book" || each === "reschedule") open.value = each;
              else void happen(each);
            }}
          >
            {ICONS[each] && <Icon name={ICONS[each]} />}
            {say(`event.${each}` as Key)}
          </button>
        ))}
        {!events.length && !mayEnter && <p class="soft">{say("request.nothing")}</p>}
      </div>
      {failure.value && !open.value && <Told failure={failure.value} />}
      {WORDED[open.value] && (
        <WordsDialog event={open.value} close={close} isBusy={isBusy.value} happen={happen}>
          {failure.value && <Told failure={failure.value} />}
        </WordsDialog>
      )}
      {(open.value === "book" || open.value === "reschedule") && (
        <TimeDialog event={open.value} close={close} isBusy={isBusy.value} happen={happen}>
          {failure.value && <Told failure={failure.value} />}
        </TimeDialog>
      )}
    </div>
  );
}

interface DialogProps {
  readonly event: string;
  readonly close: () => void;
  readonly isBusy: boolean;
  readonly happen: (event: string, parameter: Parameters["parameter"]) => Promise<void>;
  readonly children: ComponentChildren;
}

function WordsDialog({ event, close, isBusy, happen, children }: DialogProps) {
  const text = useSignal("");
  const isTold = useSignal(false);
  const isDangerous = event === "reject" || event === "cancel";
  return (
    <Dialog
      title={say(`event.${event}` as Key)}
      close={close}
      acts={
        <button
          type="button"
          class={`button ${isDangerous ? "danger" : "main"}`}
          disabled={isBusy}
          onClick={() => {
            isTold.value = !text.value.trim();
            if (!isTold.value) void happen(event, [{ name: WORDED[event] ?? "", valueString: text.value.trim() }]);
          }}
        >
          {say(`event.${event}.do` as Key)}
        </button>
      }
    >
      {children}
      <AreaField
        label={say(`event.${event}.words` as Key)}
        fault={isTold.value ? say("event.words.missing") : undefined}
        value={text.value}
        change={(value) => {
          text.value = value;
        }}
      />
    </Dialog>
  );
}

const MINUTES = ["15", "30", "45", "60", "90"];
const MILLISECONDS_OF_QUARTER = 900_000;

/** The next quarter of an hour, as a field for local times has it. */
export function nextQuarter(now: Date): string {
  const at = new Date(Math.ceil(now.valueOf() / MILLISECONDS_OF_QUARTER) * MILLISECONDS_OF_QUARTER);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

function TimeDialog({ event, close, isBusy, happen, children }: DialogProps) {
  const start = useSignal(nextQuarter(new Date()));
  const minutes = useSignal("30");
  const chair = useSignal(person.value?.fhirUser ?? "");
  const secretary = useSignal("");
  const people = useAsked<Practitioner[]>((stop) => practitioners(stop), []);
  const submit = () => {
    const begin = new Date(start.value);
    const end = new Date(begin.valueOf() + Number(minutes.value) * 60_000);
    const asked = [
      [chair.value, "chair"],
      [secretary.value, "secretary"],
    ] as const;
    void happen(event, [
      { name: "start", valueInstant: begin.toISOString() },
      { name: "end", valueInstant: end.toISOString() },
      ...(event === "book" ? asked : []).flatMap(([reference, role]) =>
        reference
          ? [
              {
                name: "participant",
                part: [
                  { name: "actor", valueReference: { reference } },
                  { name: "role", valueCode: role },
                ],
              },
            ]
          : [],
      ),
    ]);
  };
  const options = [
    ["", say("request.nobody")],
    ...(people.value.value ?? []).map((each) => [`Practitioner/${each.id}`, nameOf(each.name)] as const),
  ] as const;
  return (
    <Dialog
      title={say(`event.${event}` as Key)}
      close={close}
      acts={
        <button type="button" class="button main" disabled={isBusy || !start.value} onClick={submit}>
          {say(`event.${event}.do` as Key)}
        </button>
      }
    >
      {children}
      <TextField
        type="datetime-local"
        label={say("request.start")}
        value={start.value}
        change={(value) => {
          start.value = value;
        }}
      />
      <ChoiceField
        label={say("request.minutes")}
        value={minutes.value}
        change={(value) => {
          minutes.value = value;
        }}
        options={MINUTES.map((each) => [each, say("request.minutes.count", { count: each })] as const)}
      />
      {event === "book" && (
        <>
          <ChoiceField
            label={say("seat.chair")}
            value={chair.value}
            change={(value) => {
              chair.value = value;
            }}
            options={options}
          />
          <ChoiceField
            label={say("seat.secretary")}
            value={secretary.value}
            change={(value) => {
              secretary.value = value;
            }}
            options={options}
          />
        </>
      )}
    </Dialog>
  );
}
