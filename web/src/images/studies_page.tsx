// Studies: found by name, id or accession number; what is looked for stands in the address.

import { useEffect, useRef } from "preact/hooks";
import { Shown, useAsked } from "../parts/asked.tsx";
import { TextField } from "../parts/field.tsx";
import { Empty } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { Tag } from "../parts/tag.tsx";
import { place, setQuery } from "../shell/router.ts";
import { say, sayCode, sayDate } from "../words/say.ts";
import { studiesLike } from "./archive.ts";
import { type DataSet, isoDate, numberOf, personName, textOf, textsOf } from "./dicom.ts";
import { bringLibrary } from "./viewer_page.tsx";

const MILLISECONDS_OF_TYPING = 250;
const MILLISECONDS_OF_REST = 300;
const SEXES: Readonly<Record<string, string>> = { F: "female", M: "male", O: "other" };

export function StudiesPage() {
  const text = place.value.query.get("find") ?? "";
  const studies = useAsked((stop) => studiesLike(text, stop), [text]);
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(typing.current), []);
  return (
    <>
      <div class="page-head">
        <h1>{say("nav.images")}</h1>
      </div>
      <div class="card">
        <div class="card-body filters">
          <TextField
            type="search"
            label={say("images.find")}
            value={text}
            autocomplete="off"
            change={(value) => {
              clearTimeout(typing.current);
              typing.current = setTimeout(() => setQuery({ find: value.trim() }), MILLISECONDS_OF_TYPING);
            }}
          />
        </div>
        <Shown of={studies.value} bones={8}>
          {(found) => <Studies sets={found} />}
        </Shown>
      </div>
    </>
  );
}

function Studies({ sets }: { sets: readonly DataSet[] }) {
  useEffect(bringSoon, []);
  if (!sets.length) {
    return (
      <Empty title={say("images.none")} icon="images">
        <p>{say("images.none.why")}</p>
      </Empty>
    );
  }
  const latest = sets.toSorted((one, other) =>
    (textOf(other, "date") + textOf(other, "time")).localeCompare(textOf(one, "date") + textOf(one, "time")),
  );
  return (
    <Table
      caption={say("nav.images")}
      rows={latest}
      keyOf={(set) => textOf(set, "study")}
      columns={[
        {
          label: say("images.patient"),
          cell: (set) => (
            <span>
              <a href={`/images/${textOf(set, "study")}`}>{personName(set) || say("images.unnamed")}</a>
              <span class="soft small study-facts">
                {[
                  textOf(set, "patientId"),
                  sayCode("gender", SEXES[textOf(set, "sex")]),
                  sayDate(isoDate(textOf(set, "birthDate"))),
                ]
                  .filter(Boolean)
                  .join(" · ")}
              </span>
            </span>
          ),
        },
        {
          label: say("images.what"),
          cell: (set) => textOf(set, "description") || <span class="soft">{say("images.undescribed")}</span>,
        },
        { label: say("images.modality"), cell: (set) => <Modalities of={textsOf(set, "modalities")} /> },
        { label: say("images.date"), cell: (set) => <time>{sayDate(isoDate(textOf(set, "date")))}</time> },
        { label: say("images.accession"), cell: (set) => textOf(set, "accession") },
        { label: say("images.count"), cell: (set) => <span class="numbers">{numberOf(set, "instances") ?? ""}</span> },
      ]}
    />
  );
}

/** Brings the library of images once the list stands, but not to who pays for every byte: there it waits for a study. */
function bringSoon(): () => void {
  const isSparing = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData ?? false;
  const timer = setTimeout(() => !isSparing && void bringLibrary().catch(() => undefined), MILLISECONDS_OF_REST);
  return () => clearTimeout(timer);
}

function Modalities({ of }: { of: readonly string[] }) {
  return (
    <span class="row">
      {of.map((each) => (
        <Tag key={each} tone="info">
          {each}
        </Tag>
      ))}
    </span>
  );
}
