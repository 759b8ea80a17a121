// DICOM data sets as JSON (PS3.18, annex F): their values, and names as people write them.

export interface Element {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  readonly BulkDataURI?: string;
}

export type DataSet = Readonly<Record<string, Element>>;

export const TAGS = {
  accession: "00080050",
  bodyPart: "00180015",
  columns: "00280011",
  date: "00080020",
  description: "00081030",
  encapsulated: "00420011",
  frameOfReference: "00200052",
  frameTime: "00181063",
  frames: "00280008",
  instance: "00080018",
  instanceNumber: "00200013",
  instances: "00201208",
  issuer: "00100021",
  modality: "00080060",
  modalities: "00080061",
  orientation: "00200037",
  patientId: "00100020",
  patientName: "00100010",
  birthDate: "00100030",
  pixels: "7FE00010",
  playRate: "00082144",
  position: "00200032",
  rows: "00280010",
  spacing: "00280030",
  series: "0020000E",
  seriesDescription: "0008103E",
  seriesInstances: "00201209",
  seriesNumber: "00200011",
  sex: "00100040",
  sopClass: "00080016",
  study: "0020000D",
  syntax: "00083002",
  time: "00080030",
  windowCenter: "00281050",
  windowWidth: "00281051",
} as const;

type Name = keyof typeof TAGS;

/** The text of an element's first value; empty where it has none. */
export function textOf(set: DataSet, name: Name): string {
  const value = set[TAGS[name]]?.Value?.[0];
  return value === undefined || value === null || typeof value === "object" ? "" : String(value).trim();
}

/** The numbers of an element. */
export function numbersOf(set: DataSet, name: Name): number[] {
  return (set[TAGS[name]]?.Value ?? []).map(Number).filter((value) => Number.isFinite(value));
}

export function numberOf(set: DataSet, name: Name): number | undefined {
  return numbersOf(set, name)[0];
}

/** All values of an element, as texts. */
export function textsOf(set: DataSet, name: Name): string[] {
  return (set[TAGS[name]]?.Value ?? []).map(String);
}

/** A person's name as it is written: family name first, no carets (PS3.5, 6.2.1). */
export function personName(set: DataSet): string {
  const value = set[TAGS.patientName]?.Value?.[0] as { Alphabetic?: string; Ideographic?: string } | undefined;
  return (value?.Alphabetic ?? value?.Ideographic ?? "").split("^").filter(Boolean).join(" ").trim();
}

/** A DICOM date as FHIR has it. */
export function isoDate(date: string): string {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : "";
}

/** A data set without a pixel spacing that nothing can be measured by: some devices write zeros. */
export function withSoundSpacing(set: DataSet): DataSet {
  const { [TAGS.spacing]: spacing, ...others } = set;
  return !spacing || numbersOf(set, "spacing").every((value) => value > 0) ? set : others;
}
