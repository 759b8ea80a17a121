// The library that decodes and draws images, begun once: codecs in a worker, the token on each request, tools.

import * as core from "@cornerstonejs/core";
import * as loader from "@cornerstonejs/dicom-image-loader";
import * as tools from "@cornerstonejs/tools";
import { bearer } from "../../login/session.ts";
import { say, sayNumber } from "../../words/say.ts";
import { frameUrl } from "../archive.ts";
import { withSoundSpacing } from "../dicom.ts";
import { frameAt } from "../frames.ts";
import type { Frame, Series } from "../series.ts";

export { core, tools };
export const TOOL_GROUP = "panes";
export const VOLUME_GROUP = "planes";
const MOST_WORKERS = 2;
const MEGABYTES = 1_000_000;
const MOST_CACHED = 1_500 * MEGABYTES;
/** Explicit VR, little endian (PS3.5, A.2): what bytes are in where their type says no more. */
const PLAIN = "1.2.840.10008.1.2.1";

type Stats = Readonly<Record<string, unknown>>;
type Lines = (data: { cachedStats: Record<string, Stats> }, target: string) => string[] | undefined;

const number = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const unit = (value: unknown): string => (typeof value === "string" ? value : "");

/** What stands beside a measurement, in the words of the app. */
const LINES: Readonly<Record<string, Lines>> = {
  Length: ({ cachedStats }, target) => {
    const { length, unit: of } = cachedStats[target] ?? {};
    return number(length) ? [`${sayNumber(length)} ${unit(of)}`] : undefined;
  },
  Angle: ({ cachedStats }, target) => {
    const { angle } = cachedStats[target] ?? {};
    return number(angle) ? [`${sayNumber(angle)}°`] : undefined;
  },
  EllipticalROI: ({ cachedStats }, target) => {
    const { area, areaUnit, mean, stdDev, modalityUnit } = cachedStats[target] ?? {};
    const of = unit(modalityUnit);
    return [
      number(area) ? `${say("viewer.area")}: ${sayNumber(area)} ${unit(areaUnit)}` : "",
      number(mean) ? `${say("viewer.mean")}: ${sayNumber(mean)} ${of}` : "",
      number(stdDev) ? `${say("viewer.deviation")}: ${sayNumber(stdDev)} ${of}` : "",
    ].filter(Boolean);
  },
  Probe: ({ cachedStats }, target) => {
    const { value, modalityUnit } = cachedStats[target] ?? {};
    return number(value) ? [`${sayNumber(value)} ${unit(modalityUnit)}`] : undefined;
  },
};

/** The names of the tools that leave marks. */
export const MARKING = ["Length", "Angle", "EllipticalROI", "Probe", "ArrowAnnotate"] as const;

/** How marks are drawn: bright on dark, and to be read from a distance. */
const STYLE = {
  color: "rgb(255, 214, 92)",
  colorHighlighted: "rgb(255, 255, 255)",
  colorSelected: "rgb(92, 220, 255)",
  colorLocked: "rgb(255, 214, 92)",
  lineWidth: "2",
  textBoxFontFamily: "Be Vietnam Pro, sans-serif",
  textBoxFontSize: "16px",
  textBoxColor: "rgb(255, 224, 130)",
  textBoxColorHighlighted: "rgb(255, 255, 255)",
  textBoxColorSelected: "rgb(92, 220, 255)",
};

let begun: Promise<void> | undefined;

/** Begins the library, once. */
export function begin(): Promise<void> {
  begun ??= start();
  return begun;
}

async function start(): Promise<void> {
  core.init();
  loader.init({
    maxWebWorkers: MOST_WORKERS,
    beforeSend: async () => {
      const token = await bearer();
      return {
        Accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
      };
    },
  });
  core.imageLoader.registerImageLoader("wadors", (name, options) => ({ promise: imageAt(name, options) }) as never);
  core.cache.setMaxCacheSize(MOST_CACHED);
  tools.init();
  const all = [
    tools.WindowLevelTool,
    tools.PanTool,
    tools.ZoomTool,
    tools.StackScrollTool,
    tools.LengthTool,
    tools.AngleTool,
    tools.EllipticalROITool,
    tools.ProbeTool,
    tools.ArrowAnnotateTool,
    tools.CrosshairsTool,
  ];
  for (const tool of all) tools.addTool(tool);
  const { style } = tools.annotation.config;
  style.setDefaultToolStyles({ global: { ...style.getDefaultToolStyles().global, ...STYLE } });
  groupOf(TOOL_GROUP);
  const planes = groupOf(VOLUME_GROUP);
  planes.addTool("Crosshairs", {
    getReferenceLineColor: (id: string) => PLANE_COLOURS[id.split("-").at(-1) ?? ""] ?? "white",
  });
}

export const PLANE_COLOURS: Readonly<Record<string, string>> = {
  axial: "rgb(255, 120, 110)",
  sagittal: "rgb(255, 224, 100)",
  coronal: "rgb(120, 230, 140)",
};

function groupOf(name: string) {
  const group = tools.ToolGroupManager.createToolGroup(name);
  if (!group) throw new Error(`the group of tools ${name} was made before`);
  for (const tool of ["WindowLevel", "Pan", "Zoom", "StackScroll"]) group.addTool(tool);
  for (const tool of MARKING) {
    const getTextLines = LINES[tool];
    group.addTool(tool, getTextLines ? { getTextLines } : {});
  }
  return group;
}

/** Binds the mouse: the chosen tool on the left button, window on the right, pan in the middle, scroll on the wheel. */
export function bind(group: string, chosen: string): void {
  const found = tools.ToolGroupManager.getToolGroup(group);
  if (!found) return;
  const { MouseBindings } = tools.Enums;
  const isVolume = group === VOLUME_GROUP;
  for (const tool of ["WindowLevel", "Pan", "Zoom", "StackScroll", ...MARKING, ...(isVolume ? ["Crosshairs"] : [])])
    found.setToolPassive(tool);
  const bindings = new Map<string, { mouseButton?: number; numTouchPoints?: number }[]>();
  const add = (tool: string, binding: { mouseButton?: number; numTouchPoints?: number }) =>
    bindings.set(tool, [...(bindings.get(tool) ?? []), binding]);
  add(chosen, { mouseButton: MouseBindings.Primary });
  add("WindowLevel", { mouseButton: MouseBindings.Secondary });
  add("Pan", { mouseButton: MouseBindings.Auxiliary });
  add("Zoom", { numTouchPoints: 2 });
  add("StackScroll", { mouseButton: MouseBindings.Wheel });
  for (const [tool, list] of bindings) found.setToolActive(tool, { bindings: list as never });
  if (isVolume && chosen !== "Crosshairs") found.setToolEnabled("Crosshairs");
}

/** The image of a name: its frame as it is stored, decoded in a worker. */
async function imageAt(name: string, options: unknown): Promise<object> {
  const { type, bytes } = await frameAt(name.slice("wadors:".length));
  const syntax = /transfer-syntax="?([\d.]+)/.exec(type)?.[1] ?? PLAIN;
  const image = await loader.createImage(name, bytes as never, syntax, options as never);
  return Object.assign(image, {
    transferSyntaxUID: syntax,
    imageQualityStatus: core.Enums.ImageQualityStatus.FULL_RESOLUTION,
  });
}

/** The name of a frame in the library; what is known of it is told to the library with it. */
export function imageIdOf(series: Series, frame: Frame): string {
  return `wadors:${frameUrl(series.study, series.uid, frame.instance, frame.number)}`;
}

/** Tells the library what is known of all frames of a series; returns their names. */
export function told(series: Series): string[] {
  return series.frames.map((frame) => {
    const id = imageIdOf(series, frame);
    loader.wadors.metaDataManager.add(id, withSoundSpacing(frame.set) as never);
    return id;
  });
}
