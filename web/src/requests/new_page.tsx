// A new request: about whom, what is asked, how urgent, with what, of whom. What is written is kept until it is sent.

import "./requests.css";
import { signal, useSignal } from "@preact/signals";
import type { Consent, DocumentReference, ImagingStudy, Organization, Patient, ServiceRequest } from "fhir/r4";
import { create, read, search, send } from "../fhir/client.ts";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { idOf, nameOf } from "../fhir/reading.ts";
import { person } from "../login/session.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { AreaField, ChoiceField, FaultSummary, TextField } from "../parts/field.tsx";
import { Icon } from "../parts/icon.tsx";
import { PatientStrip } from "../parts/patient_strip.tsx";
import { Faults } from "../parts/state.tsx";
import { patientQuery } from "../patients/patients_page.tsx";
import { go, place, setQuery } from "../shell/router.ts";
import { ageOf, say, sayCode, sayDate } from "../words/say.ts";
import { ACTIVITY, bring, KINDS } from "./consultation.ts";

interface Draft {
  readonly kind: string;
  readonly priority: string;
  readonly question: string;
  readonly more: string;
  readonly hub: string;
  readonly studies: readonly string[];
  /** The request that was stored already, where only sending it failed. */
  readonly stored?: string;
}

const BLANK: Draft = { kind: KINDS[0], priority: "routine", question: "", more: "", hub: "", studies: [] };
const KEPT = "nhipcau.request";
const TYPES = ".pdf,.png,.jpg,.jpeg,.webp,.txt";

const draft = signal<Draft>(keptDraft());

function keptDraft(): Draft {
  const kept = typeof sessionStorage === "undefined" ? null : sessionStorage.getItem(KEPT);
  return kept ? { ...BLANK, ...(JSON.parse(kept) as Draft) } : BLANK;
}

function keep(changed: Partial<Draft>): void {
  draft.value = { ...draft.value, ...changed };
  sessionStorage.setItem(KEPT, JSON.stringify(draft.value));
}

export function NewRequestPage() {
  const id = place.value.query.get("patient") ?? "";
  const patient = useAsked<Patient | null>(async (stop) => (id ? await read("Patient", id, stop) : null), [id]);
  return (
    <div class="narrow">
      <div class="page-head">
        <h1>{say("request.new")}</h1>
      </div>
      {id ? <Shown of={patient.value}>{(found) => found && <Form patient={found} />}</Shown> : <ChoosePatient />}
    </div>
  );
}

function ChoosePatient() {
  const text = useSignal("");
  const patients = useAsked(
    (stop) => search("Patient", { ...patientQuery(text.value), _sort: "-_lastUpdated", _count: 12 }, stop),
    [text.value],
  );
  return (
    <div class="card">
      <div class="card-body">
        <TextField
          type="search"
          label={say("request.patient")}
          hint={say("patients.find.hint")}
          value={text.value}
          autocomplete="off"
          change={(value) => {
            text.value = value;
          }}
        />
      </div>
      <Shown of={patients.value}>
        {(found) => (
          <ul class="choices">
            {found.matches.length === 0 && <li class="soft card-body">{say("patients.none.why")}</li>}
            {found.matches.map((each) => (
              <li key={each.id}>
                <button type="button" onClick={() => setQuery({ patient: each.id })}>
                  <strong>{nameOf(each.name) || say("patient.unnamed")}</strong>
                  <span class="soft">
                    {[
                      sayCode("gender", each.gender),
                      sayDate(each.birthDate),
                      each.birthDate && say("patient.age", { age: ageOf(each.birthDate) ?? "" }),
                    ]
                      .filter(Boolean)
                      .join(" · ")}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        )}
      </Shown>
    </div>
  );
}

interface Known {
  readonly hubs: readonly Organization[];
  readonly studies: readonly ImagingStudy[];
  readonly consents: readonly Consent[];
}

function Form({ patient }: { patient: Patient }) {
  const id = patient.id ?? "";
  const known = useAsked<Known>((stop) => knownFor(id, stop), [id]);
  return (
    <>
      <PatientStrip patient={patient} />
      <Shown of={known.value}>{(found) => <Fields patient={id} known={found} />}</Shown>
    </>
  );
}

async function knownFor(patient: string, stop: AbortSignal): Promise<Known> {
  const own = person.value?.organizations ?? [];
  const none = { matches: [] };
  const [hubs, studies, consents] = await Promise.all([
    search("Organization", { active: ["true"], _sort: "name", _count: 100 }, stop).then(async (found) =>
      found.matches.length ? found : await search("Organization", { _sort: "name", _count: 100 }, stop),
    ),
    search("ImagingStudy", { patient, _sort: "-started", _count: 10 }, stop).catch(() => none),
    search("Consent", { patient, status: "active", _count: 20 }, stop).catch(() => none),
  ]);
  return {
    hubs: hubs.matches.filter((each) => !own.includes(each.id ?? "")),
    studies: studies.matches,
    consents: consents.matches,
  };
}

function Fields({ patient, known }: { patient: string; known: Known }) {
  const files = useSignal<readonly File[]>([]);
  const hasAgreed = useSignal(false);
  const faults = useSignal<readonly string[]>([]);
  const failure = useSignal<Failure | undefined>(undefined);
  const isSending = useSignal(false);
  const { value } = draft;
  const hub = known.hubs.find((each) => each.id === value.hub);
  const isConsented = known.consents.some((each) =>
    each.provision?.actor?.some((actor) => idOf(actor.reference, "Organization") === value.hub),
  );
  const submit = async () => {
    faults.value = [
      value.question.trim() ? "" : say("request.question.missing"),
      hub ? "" : say("request.hub.missing"),
    ].filter(Boolean);
    if (faults.value.length || isSending.value) return;
    isSending.value = true;
    failure.value = undefined;
    try {
      if (hasAgreed.value && !isConsented) await create(consentTo(patient, value.hub));
      const stored = value.stored ?? (await create(await requestOf(patient, value, files.value))).id ?? "";
      keep({ stored });
      await bring(stored, "submit");
      sessionStorage.removeItem(KEPT);
      draft.value = BLANK;
      go(`/requests/${stored}`, { replace: true });
    } catch (thrown) {
      failure.value = asFailure(thrown);
    } finally {
      isSending.value = false;
    }
  };
  const fault = (key: "request.question.missing" | "request.hub.missing") =>
    faults.value.includes(say(key)) ? say(key) : undefined;
  return (
    <form
      class="card card-body request-form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <FaultSummary faults={faults.value} />
      {failure.value && (
        <div class="fault-summary" role="alert">
          <strong>{failure.value.title}</strong>
          <p>{failure.value.remedy}</p>
          <Faults failure={failure.value} />
        </div>
      )}
      <AreaField
        label={say("request.question")}
        hint={say("request.question.hint")}
        fault={fault("request.question.missing")}
        value={value.question}
        rows={3}
        change={(question) => keep({ question })}
      />
      <AreaField
        label={say("request.more")}
        hint={say("request.more.hint")}
        value={value.more}
        rows={2}
        change={(more) => keep({ more })}
      />
      <div class="filters">
        <ChoiceField
          label={say("request.kind")}
          value={value.kind}
          change={(kind) => keep({ kind })}
          options={KINDS.map((each) => [each, sayCode("activity", each)] as const)}
        />
        <ChoiceField
          label={say("request.priority")}
          value={value.priority}
          change={(priority) => keep({ priority })}
          options={["routine", "urgent", "asap", "stat"].map((each) => [each, sayCode("priority", each)] as const)}
        />
      </div>
      <ChoiceField
        label={say("request.hub")}
        fault={fault("request.hub.missing")}
        value={value.hub}
        change={(chosen) => {
          hasAgreed.value = false;
          keep({ hub: chosen });
        }}
        options={[
          ["", say("request.hub.choose")],
          ...known.hubs.map((each) => [each.id ?? "", each.name ?? ""] as const),
        ]}
      />
      {known.studies.length > 0 && (
        <fieldset class="request-images">
          <legend>{say("request.studies")}</legend>
          {known.studies.map((each) => (
            <label key={each.id} class="check-line">
              <input
                type="checkbox"
                checked={value.studies.includes(each.id ?? "")}
                onChange={(event) =>
                  keep({
                    studies: event.currentTarget.checked
                      ? [...value.studies, each.id ?? ""]
                      : value.studies.filter((one) => one !== each.id),
                  })
                }
              />
              {[sayDate(each.started), each.modality?.map((one) => one.code).join(", "), each.description]
                .filter(Boolean)
                .join(" · ")}
            </label>
          ))}
        </fieldset>
      )}
      <label class="field">
        <span class="label">{say("request.files")}</span>
        <span class="hint">{say("request.files.hint")}</span>
        <input
          class="input"
          type="file"
          multiple
          accept={TYPES}
          onChange={(event) => {
            files.value = [...(event.currentTarget.files ?? [])];
          }}
        />
      </label>
      {hub && isConsented && (
        <p class="call-out good">
          <Icon name="check" />
          {say("request.consent.there", { hub: hub.name ?? "" })}
        </p>
      )}
      {hub && !isConsented && (
        <label class="check-line call-out warn">
          <input
            type="checkbox"
            checked={hasAgreed.value}
            onChange={(event) => {
              hasAgreed.value = event.currentTarget.checked;
            }}
          />
          <span>{say("request.consent", { hub: hub.name ?? "" })}</span>
        </label>
      )}
      <div class="row">
        <button type="submit" class={`button main ${isSending.value ? "busy" : ""}`} disabled={isSending.value}>
          <Icon name="send" />
          {say(isSending.value ? "request.sending" : "request.send")}
        </button>
        <button type="button" class="button quiet" onClick={() => setQuery({ patient: undefined })}>
          {say("request.other")}
        </button>
      </div>
    </form>
  );
}

async function requestOf(patient: string, value: Draft, files: readonly File[]): Promise<ServiceRequest> {
  const papers = [];
  for (const file of files) papers.push({ reference: `DocumentReference/${await stored(patient, file)}` });
  const own = person.value?.organizations[0];
  const info = [...value.studies.map((each) => ({ reference: `ImagingStudy/${each}` })), ...papers];
  return {
    resourceType: "ServiceRequest",
    status: "draft",
    intent: "order",
    priority: value.priority as "routine",
    category: [{ coding: [{ system: ACTIVITY, code: value.kind }] }],
    subject: { reference: `Patient/${patient}` },
    authoredOn: new Date().toISOString(),
    performer: [{ reference: `Organization/${value.hub}` }],
    reasonCode: [{ text: value.question.trim() }, ...(value.more.trim() ? [{ text: value.more.trim() }] : [])],
    // The question by itself: minutes have a conclusion for each note.
    note: [{ text: value.question.trim() }],
    ...(own ? { requester: { reference: `Organization/${own}` } } : {}),
    ...(info.length ? { supportingInfo: info } : {}),
  };
}

/** Stores a file of a patient; returns the id of its DocumentReference. */
async function stored(patient: string, file: File): Promise<string> {
  const subject = { reference: `Patient/${patient}` };
  const contentType = file.type || "text/plain";
  const headers = { "Content-Type": contentType, "X-Security-Context": subject.reference };
  const answer = await send("/fhir/Binary", { method: "POST", headers, body: file });
  const [, kept] = /\/Binary\/([^/]+)/.exec(answer.headers.get("location") ?? "") ?? [];
  const paper: DocumentReference = {
    resourceType: "DocumentReference",
    status: "current",
    subject,
    date: new Date().toISOString(),
    content: [{ attachment: { contentType, url: `Binary/${kept}`, size: file.size, title: file.name } }],
  };
  return (await create(paper)).id ?? "";
}

/** What the patient agreed to: that a hub sees the record (Circular 49/2017/TT-BYT asks for it before a consultation). */
function consentTo(patient: string, hub: string): Consent {
  const coded = (system: string, code: string) => ({
    coding: [{ system: `http://terminology.hl7.org/CodeSystem/${system}`, code }],
  });
  return {
    resourceType: "Consent",
    status: "active",
    patient: { reference: `Patient/${patient}` },
    dateTime: new Date().toISOString(),
    scope: coded("consentscope", "patient-privacy"),
    category: [{ coding: [{ system: "http://loinc.org", code: "59284-0" }] }],
    policyRule: { text: "Đồng ý hội chẩn từ xa" },
    provision: {
      type: "permit",
      actor: [{ role: coded("v3-ParticipationType", "IRCP"), reference: { reference: `Organization/${hub}` } }],
    },
  };
}
