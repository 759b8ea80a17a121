// What is read out of resources for people: names as they are written, words of codes, what a reference leads to.

import type { CodeableConcept, FhirResource, HumanName, Identifier, Patient, Quantity, Reference } from "fhir/r4";
import { sayNumber } from "../words/say.ts";

/** A name as it is written: its text, or family and given names in Vietnamese order. */
export function nameOf(names: readonly HumanName[] | undefined): string {
  const chosen = names?.find((name) => name.use === "official") ?? names?.[0];
  if (!chosen) return "";
  return chosen.text ?? [...(chosen.prefix ?? []), chosen.family, ...(chosen.given ?? [])].filter(Boolean).join(" ");
}

/** The words of a concept, or else its code. */
export function textOf(concept: CodeableConcept | undefined): string {
  return (
    concept?.text ?? concept?.coding?.find((coding) => coding.display)?.display ?? concept?.coding?.[0]?.code ?? ""
  );
}

/** The words of the first concept that has any. */
export function firstText(concepts: readonly CodeableConcept[] | undefined): string {
  return concepts?.map(textOf).find(Boolean) ?? "";
}

/** The id in a reference to a type, such as `Patient/1`. */
export function idOf(reference: Reference | undefined, type?: string): string {
  const [kind, id] = (reference?.reference ?? "").split("/").slice(-2);
  return id && (!type || kind === type) ? id : "";
}

/** What a resource is called. */
export function titleOf(resource: FhirResource | undefined): string {
  if (!resource) return "";
  if ("name" in resource && resource.name) {
    return typeof resource.name === "string"
      ? resource.name
      : Array.isArray(resource.name)
        ? nameOf(resource.name as HumanName[])
        : "";
  }
  return "code" in resource && resource.code && typeof resource.code === "object"
    ? textOf(resource.code as CodeableConcept)
    : "";
}

/** What a reference is called: by what came along with a search, or by the reference itself. */
export function referred(reference: Reference | undefined, included?: ReadonlyMap<string, FhirResource>): string {
  if (!reference) return "";
  const found = included?.get(reference.reference ?? "");
  return titleOf(found) || reference.display || "";
}

export function amountOf(quantity: Quantity | undefined): string {
  if (quantity?.value === undefined) return "";
  return [`${quantity.comparator ?? ""}${sayNumber(quantity.value)}`, quantity.unit ?? quantity.code]
    .filter(Boolean)
    .join(" ");
}

/** The identifiers of a patient that people know one by. */
export function identifiersOf(patient: Patient | undefined): string[] {
  return (patient?.identifier ?? [])
    .filter((each: Identifier) => each.use !== "old")
    .flatMap((each) => each.value ?? []);
}
