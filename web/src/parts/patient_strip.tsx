// The patient's strip: name, sex, age, identifiers, allergies, consent; the same place on every page about a patient.

import type { AllergyIntolerance, Consent, Patient } from "fhir/r4";
import { search } from "../fhir/client.ts";
import { identifiersOf, nameOf, textOf } from "../fhir/reading.ts";
import { ageOf, say, sayCode, sayDate } from "../words/say.ts";
import { useAsked } from "./asked.tsx";
import { Tag } from "./tag.tsx";

interface Known {
  readonly allergies: readonly AllergyIntolerance[];
  readonly consents: readonly Consent[];
}

export function PatientStrip({ patient, isHeading = false }: { patient: Patient; isHeading?: boolean }) {
  const known = useAsked<Known>((stop) => knownOf(patient.id ?? "", stop), [patient.id]);
  const age = ageOf(patient.birthDate);
  const Name = isHeading ? "h1" : "a";
  return (
    <div class="strip">
      <Name class="name" {...(isHeading ? {} : { href: `/patients/${patient.id}` })}>
        {nameOf(patient.name) || say("patient.unnamed")}
      </Name>
      <span>{sayCode("gender", patient.gender)}</span>
      {patient.birthDate && (
        <span>
          {sayDate(patient.birthDate)}
          {age !== undefined && ` (${say("patient.age", { age })})`}
        </span>
      )}
      <span class="numbers">{identifiersOf(patient).slice(0, 3).join(" · ")}</span>
      {known.value.value && <Alerts known={known.value.value} />}
    </div>
  );
}

async function knownOf(patient: string, stop: AbortSignal): Promise<Known> {
  const [allergies, consents] = await Promise.all([
    search("AllergyIntolerance", { patient, _count: 20 }, stop),
    search("Consent", { patient, status: "active", _count: 5 }, stop),
  ]);
  return { allergies: allergies.matches, consents: consents.matches };
}

function Alerts({ known }: { known: Known }) {
  const what = known.allergies.map((each) => textOf(each.code)).filter(Boolean);
  return (
    <>
      {what.length ? (
        <Tag tone="urgent">{say("patient.allergies", { what: what.join(", ") })}</Tag>
      ) : (
        <Tag>{say("patient.allergies.none")}</Tag>
      )}
      {known.consents.length ? (
        <Tag tone="good">{say("patient.consent.active")}</Tag>
      ) : (
        <Tag tone="warn">{say("patient.consent.none")}</Tag>
      )}
    </>
  );
}
