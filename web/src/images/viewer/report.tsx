// What was said and measured: the report of the study, measurements, key images.

import type { DiagnosticReport } from "fhir/r4";
import { search } from "../../fhir/client.ts";
import { textOf } from "../../fhir/reading.ts";
import { Shown, useAsked } from "../../parts/asked.tsx";
import { say, sayCode, sayDate, sayNumber } from "../../words/say.ts";
import type { Act } from "./act.ts";
import { measured } from "./mark.ts";
import { withPane } from "./state.ts";
import type { Viewer } from "./viewer.ts";

export function Report({ viewer, study, act }: { viewer: Viewer; study: string; act: Act }) {
  const reports = useAsked((stop) => reportsOf(study, stop), [study]);
  const { marks, keys } = viewer.state.value;
  const drawn = viewer.drawn.value;
  const jump = (series: string, at: number) => act((state) => withPane(state, state.active, { series, at }));
  return (
    <aside class="viewer-report" aria-label={say("viewer.report")}>
      <h2>{say("viewer.report")}</h2>
      <Shown of={reports.value} bones={2}>
        {(found) =>
          found.length ? (
            found.map((report) => <One key={report.id} report={report} />)
          ) : (
            <p class="soft">{say("viewer.report.none")}</p>
          )
        }
      </Shown>
      <h3>{say("viewer.marks")}</h3>
      {marks.length ? (
        <ol class="viewer-marks" data-drawn={drawn}>
          {marks.map((mark) => (
            <li key={mark.id}>
              <button type="button" class="button quiet" onClick={() => jump(mark.series, mark.at)}>
                {sayCode("tool", mark.tool)}
                <strong class="numbers">{resultOf(mark.id)}</strong>
              </button>
            </li>
          ))}
        </ol>
      ) : (
        <p class="soft">{say("viewer.marks.none")}</p>
      )}
      <h3>{say("viewer.keys")}</h3>
      {keys.length ? (
        <ol class="viewer-marks">
          {keys.map((key) => (
            <li key={`${key.series}/${key.at}`}>
              <button type="button" class="button quiet" onClick={() => jump(key.series, key.at)}>
                {say("viewer.key.one", { series: viewer.seriesOf({ study, ...key })?.number ?? "", at: key.at + 1 })}
              </button>
            </li>
          ))}
        </ol>
      ) : (
        <p class="soft">{say("viewer.keys.none")}</p>
      )}
      <p class="soft small viewer-use">{say("viewer.use")}</p>
    </aside>
  );
}

function One({ report }: { report: DiagnosticReport }) {
  return (
    <article class="viewer-one-report">
      <p class="soft small">
        {sayDate(report.issued ?? report.effectiveDateTime)} {sayCode("report", report.status)}
      </p>
      <p>
        <strong>{textOf(report.code)}</strong>
      </p>
      <p>{report.conclusion}</p>
    </article>
  );
}

async function reportsOf(study: string, stop: AbortSignal): Promise<DiagnosticReport[]> {
  const studies = await search("ImagingStudy", { identifier: `urn:dicom:uid|urn:oid:${study}` }, stop);
  const found = studies.matches[0];
  const patient = found?.subject.reference;
  if (!found || !patient) return [];
  const reports = await search("DiagnosticReport", { subject: patient, _sort: "-date", _count: 30 }, stop);
  return reports.matches.filter((report) =>
    report.imagingStudy?.some((each) => each.reference === `ImagingStudy/${found.id}`),
  );
}

/** The result of a measurement in a line. */
function resultOf(id: string): string {
  const { length, unit, angle, area, areaUnit, mean, modalityUnit, value } = measured(id);
  const one = (number: unknown, of: unknown) =>
    typeof number === "number" && Number.isFinite(number)
      ? `${sayNumber(number)} ${typeof of === "string" ? of : ""}`.trim()
      : "";
  if (typeof angle === "number") return `${sayNumber(angle)}°`;
  return [one(length, unit), one(area, areaUnit), one(mean, modalityUnit), one(value, modalityUnit)]
    .filter(Boolean)
    .join(" · ");
}
