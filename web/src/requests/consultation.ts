// A consultation as its pages know it: the request, where it is, what may follow, and what belongs to it.

import type {
  Appointment,
  Composition,
  DocumentReference,
  FhirResource,
  Organization,
  Parameters,
  Patient,
  Practitioner,
  Reference,
  ServiceRequest,
  Task,
} from "fhir/r4";
import { getJson, operation, read, search } from "../fhir/client.ts";
import { idOf } from "../fhir/reading.ts";

export const ACTIVITY = "urn:nhipcau:CodeSystem:tele-activity";
export const KINDS = ["HCTV-KCB", "HC-CDHA", "HC-PT", "HC-GPB", "TVYT"] as const;
export const STEPS = ["requested", "accepted", "booked", "in-progress", "finished", "closed"] as const;

export interface Consultation {
  readonly request: ServiceRequest;
  readonly state: string;
  readonly allowed: readonly string[];
  readonly session: string;
  readonly patient: Patient | undefined;
  readonly task: Task | undefined;
  readonly appointment: Appointment | undefined;
  readonly hub: string;
  readonly station: string;
  readonly papers: readonly DocumentReference[];
  readonly studies: readonly string[];
  readonly minutes: Composition | undefined;
}

/** What an operation answers: codes and references by their names. */
export function toldBy(answer: Parameters): { one: (name: string) => string; all: (name: string) => string[] } {
  const all = (name: string) =>
    (answer.parameter ?? []).flatMap((each) =>
      each.name === name ? [each.valueCode ?? each.valueReference?.reference ?? each.valueString ?? ""] : [],
    );
  return { one: (name) => all(name)[0] ?? "", all };
}

/** Everything about a consultation that the person may see; what they may not see is left out. */
export async function consultationOf(id: string, stop: AbortSignal): Promise<Consultation> {
  const [request, answer] = await Promise.all([
    read("ServiceRequest", id, stop),
    getJson<Parameters>(`ServiceRequest/${encodeURIComponent(id)}/$tele-state`, stop),
  ]);
  const told = toldBy(answer);
  const session = told.one("encounter").split("/")[1] ?? "";
  const there = <R extends FhirResource>(path: string | undefined): Promise<R | undefined> =>
    path ? getJson<R>(path, stop).catch(() => undefined) : Promise.resolve(undefined);
  const info = request.supportingInfo ?? [];
  const named = (each: Reference, type: string) => each.reference?.startsWith(`${type}/`);
  const [patient, task, appointment, hub, station, minutes, ...papers] = await Promise.all([
    there<Patient>(request.subject.reference),
    there<Task>(told.one("task")),
    there<Appointment>(told.one("appointment")),
    there<Organization>(request.performer?.[0]?.reference),
    there<Organization>(request.requester?.reference),
    session
      ? search("Composition", { encounter: `Encounter/${session}`, _sort: "-_lastUpdated", _count: 1 }, stop).then(
          (found) => found.matches[0],
          () => undefined,
        )
      : undefined,
    ...info.filter((each) => named(each, "DocumentReference")).map((each) => there<DocumentReference>(each.reference)),
  ]);
  return {
    request,
    state: told.one("state"),
    allowed: told.all("allowed"),
    session,
    patient,
    task,
    appointment,
    hub: hub?.name ?? request.performer?.[0]?.display ?? "",
    station: station?.name ?? request.requester?.display ?? "",
    papers: papers.filter((each) => each !== undefined),
    studies: info.filter((each) => named(each, "ImagingStudy")).map((each) => idOf(each, "ImagingStudy")),
    minutes,
  };
}

/** Lets an event happen. */
export function bring(id: string, event: string, parameter: Parameters["parameter"] = []): Promise<Parameters> {
  return operation(`ServiceRequest/${encodeURIComponent(id)}/$tele-${event}`, parameter);
}

/** What a request asks and tells, each text once; what is asked comes first. */
export function textsOf(request: ServiceRequest): string[] {
  const reasons = (request.reasonCode ?? []).flatMap((each) => each.text ?? []);
  const details = (request.orderDetail ?? []).flatMap((each) => each.text ?? []);
  const notes = (request.note ?? []).map((each) => each.text);
  return [...new Set([...reasons, ...details, ...notes])];
}

/** People who can be asked to take part, by name. */
export async function practitioners(stop: AbortSignal): Promise<Practitioner[]> {
  const found = await search("Practitioner", { _sort: "name", _count: 100 }, stop).catch(() => ({ matches: [] }));
  return [...found.matches];
}
