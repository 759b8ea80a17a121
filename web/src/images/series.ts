// Series of a study as the viewer shows them: frames in the order of the body, and what cannot be shown, and why.

import { type DataSet, numberOf, numbersOf, TAGS, textOf } from "./dicom.ts";

/** Why something cannot be shown: the end of a key of the words. */
export type Reason = "segmentation" | "report" | "document" | "radiotherapy" | "waveform" | "video" | "nopixels";

/** One picture: an instance and the number of its frame, counted from 1. */
export interface Frame {
  readonly instance: string;
  readonly number: number;
  readonly set: DataSet;
}

export interface Series {
  readonly study: string;
  readonly uid: string;
  readonly number: number;
  readonly modality: string;
  readonly description: string;
  /** What its first instance says. */
  readonly set: DataSet;
  readonly frames: readonly Frame[];
  /** Frames a second of what moves; 0 for what does not. */
  readonly rate: number;
  /** Whether it is a stack of parallel slices, of which a volume can be made. */
  readonly isVolume: boolean;
  readonly reason?: Reason;
}

const BY_MODALITY: Readonly<Record<string, Reason>> = {
  SEG: "segmentation",
  SR: "report",
  KO: "report",
  PR: "report",
  DOC: "document",
  RTSTRUCT: "radiotherapy",
  RTPLAN: "radiotherapy",
  REG: "radiotherapy",
  ECG: "waveform",
  HD: "waveform",
};
const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10[0-8]/;
const LEAST_OF_VOLUME = 4;
const MOST_TILT = 1e-3;

/** The series of some instances, by number; frames of slices lie in the order of the body, others by their numbers. */
export function seriesOf(sets: readonly DataSet[]): Series[] {
  const groups = new Map<string, DataSet[]>();
  for (const set of sets) {
    const uid = textOf(set, "series");
    groups.set(uid, [...(groups.get(uid) ?? []), set]);
  }
  return [...groups.values()]
    .map(oneSeries)
    .toSorted((one, other) => one.number - other.number || one.uid.localeCompare(other.uid));
}

function oneSeries(sets: readonly DataSet[]): Series {
  const shown = sets.filter((set) => !reasonOf(set));
  const ordered = inOrder(shown);
  const first = ordered[0] ?? sets[0] ?? {};
  const reason = shown.length ? undefined : reasonOf(first);
  const frames = ordered.flatMap((set) =>
    Array.from({ length: Math.max(1, numberOf(set, "frames") ?? 1) }, (_, at) => ({
      instance: textOf(set, "instance"),
      number: at + 1,
      set,
    })),
  );
  return {
    study: textOf(first, "study"),
    uid: textOf(first, "series"),
    number: numberOf(first, "seriesNumber") ?? Number.MAX_SAFE_INTEGER,
    modality: textOf(first, "modality"),
    description: textOf(first, "seriesDescription") || textOf(first, "bodyPart"),
    set: first,
    frames,
    rate: rateOf(first),
    isVolume: isVolume(ordered),
    ...(reason ? { reason } : {}),
  };
}

/** Why an instance cannot be shown; undefined where it can. */
export function reasonOf(set: DataSet): Reason | undefined {
  const known = BY_MODALITY[textOf(set, "modality")];
  if (known) return known;
  if (TAGS.encapsulated in set) return "document";
  if (VIDEO.test(textOf(set, "syntax"))) return "video";
  return numberOf(set, "rows") && numberOf(set, "columns") ? undefined : "nopixels";
}

function rateOf(set: DataSet): number {
  if ((numberOf(set, "frames") ?? 1) < 2) return 0;
  const told = numberOf(set, "playRate");
  const time = numberOf(set, "frameTime");
  return Math.min(60, Math.max(1, told ?? (time ? 1000 / time : 15)));
}

function inOrder(sets: readonly DataSet[]): DataSet[] {
  const places = new Map(sets.map((set) => [set, depthOf(set)]));
  const byPlace = [...places.values()].every((place) => place !== undefined);
  const byNumber = (set: DataSet) => numberOf(set, "instanceNumber") ?? 0;
  return sets.toSorted(
    (one, other) =>
      (byPlace ? (places.get(one) ?? 0) - (places.get(other) ?? 0) : 0) || byNumber(one) - byNumber(other),
  );
}

/** Where a slice lies along the direction that it is stacked in, in mm (PS3.3, C.7.6.2.1.1). */
export function depthOf(set: DataSet): number | undefined {
  const position = numbersOf(set, "position");
  const normal = normalOf(set);
  if (position.length !== 3 || !normal) return undefined;
  return position.reduce((sum, value, at) => sum + value * (normal[at] ?? 0), 0);
}

function normalOf(set: DataSet): [number, number, number] | undefined {
  const [a, b, c, d, e, f] = numbersOf(set, "orientation");
  if (f === undefined || e === undefined || d === undefined || c === undefined || b === undefined || a === undefined)
    return undefined;
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

function isVolume(ordered: readonly DataSet[]): boolean {
  const first = ordered[0];
  if (!first || ordered.length < LEAST_OF_VOLUME) return false;
  const orientation = numbersOf(first, "orientation");
  const depths = new Set(ordered.map((set) => depthOf(set)?.toFixed(2)));
  return (
    orientation.length === 6 &&
    depths.size === ordered.length &&
    ordered.every(
      (set) =>
        (numberOf(set, "frames") ?? 1) === 1 &&
        numberOf(set, "rows") === numberOf(first, "rows") &&
        numberOf(set, "columns") === numberOf(first, "columns") &&
        numbersOf(set, "orientation").every((value, at) => Math.abs(value - (orientation[at] ?? 0)) < MOST_TILT),
    )
  );
}

/** The frame of another series that lies where one does: by depth in the same body, else by the share of the way. */
export function counterpart(frame: Frame, at: number, of: Series, other: Series): number {
  const depth = depthOf(frame.set);
  const same = textOf(frame.set, "frameOfReference") === textOf(other.frames[0]?.set ?? {}, "frameOfReference");
  if (depth !== undefined && same && other.isVolume) {
    let nearest = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [index, each] of other.frames.entries()) {
      const distance = Math.abs((depthOf(each.set) ?? Number.POSITIVE_INFINITY) - depth);
      if (distance < least) [nearest, least] = [index, distance];
    }
    return nearest;
  }
  const share = of.frames.length > 1 ? at / (of.frames.length - 1) : 0;
  return Math.round(share * (other.frames.length - 1));
}

/** The series that a study opens with: the wanted one, else the first that can be shown. */
export function firstShown(series: readonly Series[], wanted: string | null): Series | undefined {
  const shown = series.filter((each) => !each.reason && each.frames.length);
  return shown.find((each) => each.uid === wanted) ?? shown[0];
}

/** Where a series is first shown: a volume from its middle. */
export function paneOf(series: Series): { study: string; series: string; at: number } {
  return { study: series.study, series: series.uid, at: series.isVolume ? Math.floor(series.frames.length / 2) : 0 };
}
