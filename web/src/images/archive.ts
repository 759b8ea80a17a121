// The archive as the viewer asks it (DICOMweb: QIDO-RS and WADO-RS), with the person's token.

import { send } from "../fhir/client.ts";
import type { DataSet } from "./dicom.ts";

export const ROOT = "/dicom-web";
const JSON_TYPE = "application/dicom+json";

async function ask(path: string, signal?: AbortSignal): Promise<DataSet[]> {
  const answer = await send(ROOT + path, { headers: { Accept: JSON_TYPE }, signal: signal ?? null });
  return answer.status === 204 ? [] : ((await answer.json()) as DataSet[]);
}

/** Studies by what was typed: a word with a digit is a patient's id or an accession number, all others are names. */
export async function studiesLike(text: string, signal?: AbortSignal): Promise<DataSet[]> {
  const fields =
    "&includefield=StudyDescription&includefield=ModalitiesInStudy&includefield=NumberOfStudyRelatedInstances";
  const one = (query: string) => ask(`/studies?limit=60${fields}${query}`, signal);
  if (!text) return one("");
  if (!/\d/.test(text)) return one(`&PatientName=${encodeURIComponent(`*${text}*`)}`);
  const wanted = encodeURIComponent(`${text}*`);
  const [byPatient, byAccession] = await Promise.all([one(`&PatientID=${wanted}`), one(`&AccessionNumber=${wanted}`)]);
  const seen = new Set(byPatient.map((set) => set["0020000D"]?.Value?.[0]));
  return [...byPatient, ...byAccession.filter((set) => !seen.has(set["0020000D"]?.Value?.[0]))];
}

/** All studies of a patient's id. */
export function studiesOf(patientId: string, signal?: AbortSignal): Promise<DataSet[]> {
  return ask(
    `/studies?PatientID=${encodeURIComponent(patientId)}&includefield=StudyDescription&includefield=ModalitiesInStudy`,
    signal,
  );
}

/** The data sets of all instances of a study. */
export function metadataOf(study: string, signal?: AbortSignal): Promise<DataSet[]> {
  return ask(`/studies/${encodeURIComponent(study)}/metadata`, signal);
}

/** The address of a frame. */
export function frameUrl(study: string, series: string, instance: string, number: number): string {
  return `${location.origin}${ROOT}/studies/${study}/series/${series}/instances/${instance}/frames/${number}`;
}
