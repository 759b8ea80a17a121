// Patients: found by name or identifier; what is looked for stands in the address.

import type { Patient } from "fhir/r4";
import { useEffect, useRef } from "preact/hooks";
import { type Found, search } from "../fhir/client.ts";
import { identifiersOf, nameOf } from "../fhir/reading.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { TextField } from "../parts/field.tsx";
import { Empty } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { place, setQuery } from "../shell/router.ts";
import { ageOf, say, sayCode, sayDate } from "../words/say.ts";

const MILLISECONDS_OF_TYPING = 250;

export function PatientsPage() {
  const text = place.value.query.get("find") ?? "";
  const patients = useAsked((stop) => patientsLike(text, stop), [text]);
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(typing.current), []);
  return (
    <>
      <div class="page-head">
        <h1>{say("nav.patients")}</h1>
      </div>
      <div class="card">
        <div class="card-body filters">
          <TextField
            type="search"
            label={say("patients.find")}
            hint={say("patients.find.hint")}
            value={text}
            autocomplete="off"
            change={(value) => {
              clearTimeout(typing.current);
              typing.current = setTimeout(() => setQuery({ find: value.trim() }), MILLISECONDS_OF_TYPING);
            }}
          />
        </div>
        <Shown of={patients.value} bones={8}>
          {(found) => <Patients found={found} />}
        </Shown>
      </div>
    </>
  );
}

/** A word with a digit is an identifier; all others are parts of the name, in any order. */
export function patientQuery(text: string): Record<string, string | string[]> {
  const words = text.split(/\s+/).filter(Boolean);
  const escaped = (word: string) => word.replace(/([\\,$|])/g, "\\$1");
  const identifiers = words.filter((word) => /\d/.test(word)).map(escaped);
  const names = words.filter((word) => !/\d/.test(word)).map(escaped);
  return { ...(identifiers.length ? { identifier: identifiers } : {}), ...(names.length ? { name: names } : {}) };
}

function patientsLike(text: string, stop: AbortSignal): Promise<Found<Patient>> {
  return search("Patient", { ...patientQuery(text), _sort: text ? "name" : "-_lastUpdated", _count: 30 }, stop);
}

function Patients({ found }: { found: Found<Patient> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("patients.none")} icon="patients">
        <p>{say("patients.none.why")}</p>
      </Empty>
    );
  }
  return (
    <Table
      caption={say("nav.patients")}
      rows={found.matches}
      keyOf={(patient) => patient.id ?? ""}
      columns={[
        {
          label: say("patients.name"),
          cell: (patient) => <a href={`/patients/${patient.id}`}>{nameOf(patient.name) || say("patient.unnamed")}</a>,
        },
        { label: say("patients.sex"), cell: (patient) => sayCode("gender", patient.gender) },
        { label: say("patients.born"), cell: (patient) => <Born date={patient.birthDate} /> },
        { label: say("patients.ids"), cell: (patient) => identifiersOf(patient).slice(0, 2).join(" · ") },
        {
          label: say("patients.address"),
          cell: (patient) => patient.address?.[0]?.text ?? patient.address?.[0]?.city ?? "",
        },
      ]}
    />
  );
}

function Born({ date }: { date: string | undefined }) {
  const age = ageOf(date);
  if (!date) return null;
  return (
    <span>
      {sayDate(date)} <span class="soft">{age !== undefined && `(${say("patient.age", { age })})`}</span>
    </span>
  );
}
