import { expect, test } from "vitest";
import { type DataSet, personName, withSoundSpacing } from "./dicom.ts";
import { counterpart, depthOf, reasonOf, seriesOf } from "./series.ts";

function slice(at: number, changed: DataSet = {}): DataSet {
  return {
    "0020000D": { vr: "UI", Value: ["1.2"] },
    "0020000E": { vr: "UI", Value: ["1.2.3"] },
    "00080018": { vr: "UI", Value: [`1.2.3.${at}`] },
    "00080060": { vr: "CS", Value: ["CT"] },
    "00200013": { vr: "IS", Value: [100 - at] },
    "00200032": { vr: "DS", Value: [0, 0, at * 3] },
    "00200037": { vr: "DS", Value: [1, 0, 0, 0, 1, 0] },
    "00200052": { vr: "UI", Value: ["1.9"] },
    "00280010": { vr: "US", Value: [64] },
    "00280011": { vr: "US", Value: [64] },
    ...changed,
  };
}

test("slices lie in the order of the body, whatever their numbers", () => {
  const [series] = seriesOf([slice(2), slice(0), slice(3), slice(1)]);
  expect(series?.frames.map((frame) => depthOf(frame.set))).toEqual([0, 3, 6, 9]);
  expect(series?.isVolume).toBe(true);
});

test("slices that are tilted, doubled or too few are no volume", () => {
  const tilted = { "00200037": { vr: "DS", Value: [1, 0, 0, 0, 0.9, 0.43] } };
  expect(seriesOf([slice(0), slice(1), slice(2), slice(3, tilted)])[0]?.isVolume).toBe(false);
  expect(seriesOf([slice(0), slice(1), slice(2), slice(2)])[0]?.isVolume).toBe(false);
  expect(seriesOf([slice(0), slice(1)])[0]?.isVolume).toBe(false);
});

test("an instance of many frames moves at the rate that its file tells", () => {
  const cine = { "00280008": { vr: "IS", Value: [120] }, "00181063": { vr: "DS", Value: [33.3] } };
  const [series] = seriesOf([slice(0, cine)]);
  expect(series?.frames.length).toBe(120);
  expect(series?.frames.at(-1)?.number).toBe(120);
  expect(Math.round(series?.rate ?? 0)).toBe(30);
});

test.each([
  ["SEG", "segmentation"],
  ["SR", "report"],
  ["ECG", "waveform"],
])("%s is not shown, and why is said", (modality, reason) => {
  const [series] = seriesOf([slice(0, { "00080060": { vr: "CS", Value: [modality] } })]);
  expect(series?.reason).toBe(reason);
  expect(series?.frames).toEqual([]);
});

test("what has no pixels, or is a document, is not shown", () => {
  expect(reasonOf({ "00080060": { vr: "CS", Value: ["OT"] } })).toBe("nopixels");
  expect(reasonOf(slice(0, { "00420011": { vr: "OB" } }))).toBe("document");
});

test("the counterpart of a slice lies at its depth in the same body, else at its share of the way", () => {
  const [thick] = seriesOf([0, 1, 2, 3, 4].map((at) => slice(at)));
  const [thin] = seriesOf([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4].map((at) => slice(at)));
  const frame = thick?.frames[3];
  if (!thick || !thin || !frame) throw new Error("there are slices");
  expect(counterpart(frame, 3, thick, thin)).toBe(6);
  const elsewhere = { "00200052": { vr: "UI", Value: ["1.8"] } };
  const [other] = seriesOf([0, 1, 2].map((at) => slice(at, elsewhere)));
  expect(other && counterpart(frame, 3, thick, other)).toBe(2);
});

test("names have no carets and keep their order", () => {
  expect(personName({ "00100010": { vr: "PN", Value: [{ Alphabetic: "Nguyễn^Thị Lan" }] } })).toBe("Nguyễn Thị Lan");
});

test("a spacing of zero is none", () => {
  expect(withSoundSpacing({ "00280030": { vr: "DS", Value: [0, 0] } })).toEqual({});
  expect(withSoundSpacing({ "00280030": { vr: "DS", Value: [0.8, 0.8] } })).toHaveProperty("00280030");
});
