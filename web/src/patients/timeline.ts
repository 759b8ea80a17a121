// Everything in a record, by date: what each resource is called, when it was, and what it says in a line.

import type { CodeableConcept, FhirResource, Observation } from "fhir/r4";
import { amountOf, firstText, textOf } from "../fhir/reading.ts";
import type { IconName } from "../parts/icon.tsx";

export type Kind = "care" | "results" | "images" | "medicines" | "problems" | "papers";

interface Row {
  readonly kind: Kind;
  readonly icon: IconName;
  /** The prefix of the words of its status. */
  readonly status?: string;
}

/** The types that the timeline shows. */
export const ROWS: Readonly<Partial<Record<FhirResource["resourceType"], Row>>> = {
  Encounter: { kind: "care", icon: "rooms", status: "encounter" },
  ServiceRequest: { kind: "care", icon: "requests", status: "request" },
  Appointment: { kind: "care", icon: "appointments", status: "appointment" },
  Procedure: { kind: "care", icon: "work" },
  CarePlan: { kind: "care", icon: "requests" },
  Immunization: { kind: "care", icon: "pill" },
  Observation: { kind: "results", icon: "pulse" },
  DiagnosticReport: { kind: "results", icon: "report", status: "report" },
  ImagingStudy: { kind: "images", icon: "images" },
  Media: { kind: "images", icon: "images" },
  MedicationRequest: { kind: "medicines", icon: "pill" },
  MedicationStatement: { kind: "medicines", icon: "pill" },
  Condition: { kind: "problems", icon: "alert" },
  AllergyIntolerance: { kind: "problems", icon: "alert" },
  Composition: { kind: "papers", icon: "sign", status: "report" },
  DocumentReference: { kind: "papers", icon: "report" },
  Consent: { kind: "papers", icon: "sign" },
  Communication: { kind: "papers", icon: "report" },
};

/** A line of the timeline. */
export interface Event {
  readonly resource: FhirResource;
  readonly row: Row;
  readonly at: string;
  readonly title: string;
  readonly detail: string;
}

/** The lines of some resources, the latest first; what has no date comes last. */
export function timelineOf(resources: readonly FhirResource[]): Event[] {
  const events = resources.flatMap((resource) => {
    const row = ROWS[resource.resourceType];
    return row ? [{ resource, row, at: dateOf(resource), title: titleOf(resource), detail: detailOf(resource) }] : [];
  });
  return events.toSorted((one, other) => other.at.localeCompare(one.at));
}

const DATES = [
  "effectiveDateTime",
  "effectiveInstant",
  "effectivePeriod",
  "period",
  "performedDateTime",
  "performedPeriod",
  "start",
  "started",
  "authoredOn",
  "onsetDateTime",
  "recordedDate",
  "occurrenceDateTime",
  "createdDateTime",
  "dateTime",
  "date",
  "sent",
  "dateAsserted",
  "created",
  "issued",
] as const;

/** When something was: the first of the elements that say so. */
export function dateOf(resource: FhirResource): string {
  const members = resource as unknown as Record<string, unknown>;
  for (const name of DATES) {
    const value = members[name];
    if (typeof value === "string") return value;
    const start = (value as { start?: string } | undefined)?.start;
    if (start) return start;
  }
  return "";
}

function titleOf(resource: FhirResource): string {
  switch (resource.resourceType) {
    case "Encounter":
      return firstText(resource.reasonCode) || firstText(resource.type);
    case "ServiceRequest":
      return textOf(resource.code) || firstText(resource.reasonCode);
    case "Appointment":
      return resource.description ?? firstText(resource.serviceType);
    case "ImagingStudy":
      return resource.description ?? "";
    case "MedicationRequest":
    case "MedicationStatement":
      return textOf(resource.medicationCodeableConcept) || (resource.medicationReference?.display ?? "");
    case "Immunization":
      return textOf(resource.vaccineCode);
    case "Composition":
      return resource.title;
    case "DocumentReference":
      return resource.description ?? textOf(resource.type);
    case "CarePlan":
      return resource.title ?? resource.description ?? "";
    case "Media":
      return firstText(resource.reasonCode) || textOf(resource.type);
    case "Consent":
      return firstText(resource.category);
    case "Communication":
      return resource.payload?.find((each) => each.contentString)?.contentString ?? "";
    default:
      return "code" in resource ? textOf(resource.code as CodeableConcept | undefined) : "";
  }
}

function detailOf(resource: FhirResource): string {
  switch (resource.resourceType) {
    case "Observation":
      return saidBy(resource);
    case "DiagnosticReport":
      return resource.conclusion ?? "";
    case "ServiceRequest":
      return firstText(resource.reasonCode);
    case "ImagingStudy":
      return [...(resource.modality ?? []).map((each) => each.code), `${resource.numberOfInstances ?? 0}`].join(" · ");
    case "MedicationRequest":
      return resource.dosageInstruction?.[0]?.text ?? "";
    case "Condition":
    case "AllergyIntolerance":
      return resource.note?.[0]?.text ?? "";
    default:
      return "";
  }
}

/** What an observation says: its value, or those of its components. */
export function saidBy(observation: Observation): string {
  const own =
    amountOf(observation.valueQuantity) ||
    textOf(observation.valueCodeableConcept) ||
    observation.valueString ||
    String(observation.valueInteger ?? "");
  if (own) return own;
  return (observation.component ?? [])
    .map((part) =>
      [textOf(part.code), amountOf(part.valueQuantity) || textOf(part.valueCodeableConcept)].filter(Boolean).join(" "),
    )
    .join(", ");
}

/** The Study Instance UID of an ImagingStudy. */
export function studyUid(resource: FhirResource): string {
  if (resource.resourceType !== "ImagingStudy") return "";
  const identifier = resource.identifier?.find((each) => each.system === "urn:dicom:uid");
  return identifier?.value?.replace("urn:oid:", "") ?? "";
}
