// The toolbar of the viewer: tools of the left mouse button, acts, and windows.

import { Icon, type IconName } from "../../parts/icon.tsx";
import { say } from "../../words/say.ts";
import type { Key } from "../../words/table.ts";
import { numbersOf } from "../dicom.ts";
import {
  type Act,
  erase,
  flip,
  invert,
  markKey,
  mpr,
  playAt,
  reset,
  rotate,
  TOOL_KEYS,
  twoUp,
  windowed,
} from "./act.ts";
import { PRESETS } from "./preset.ts";
import type { Viewer } from "./viewer.ts";

const ICONS: Readonly<Record<string, IconName>> = {
  WindowLevel: "window",
  Pan: "pan",
  Zoom: "zoom",
  StackScroll: "scroll",
  Length: "length",
  Angle: "angle",
  EllipticalROI: "circle",
  Probe: "probe",
  ArrowAnnotate: "arrow",
  Crosshairs: "cross",
};

export function Toolbar({ viewer, act }: { viewer: Viewer; act: Act }) {
  const state = viewer.state.value;
  const series = viewer.seriesOf(state.panes[state.active]);
  const isMpr = state.layout === "mpr";
  const shown = state.panes[state.active];
  const isKey = state.keys.some((key) => key.series === shown?.series && key.at === shown?.at);
  return (
    <div class="viewer-tools" role="toolbar" aria-label={say("viewer.tools")}>
      <div class="viewer-tool-group">
        {[...TOOL_KEYS, ...(isMpr ? ([["", "Crosshairs"]] as const) : [])].map(([key, tool]) => (
          <Tool
            key={tool}
            icon={ICONS[tool] ?? "cross"}
            word={`tool.${tool}` as Key}
            hint={key}
            isOn={viewer.tool.value === tool}
            press={() => viewer.use(tool)}
          />
        ))}
      </div>
      <div class="viewer-tool-group">
        <Tool icon="invert" word="tool.invert" hint="i" isOn={shown?.invert ?? false} press={() => act(invert)} />
        <Tool icon="rotate" word="tool.rotate" hint="r" press={() => act(rotate)} />
        <Tool icon="flip" word="tool.flip" hint="f" isOn={shown?.flip ?? false} press={() => act(flip)} />
        <Tool icon="reset" word="tool.reset" hint="Home" press={() => act(reset)} />
        {(series?.frames.length ?? 0) > 1 && !isMpr && (
          <Tool
            icon={state.play ? "pause" : "play"}
            word={state.play ? "tool.pause" : "tool.play"}
            hint="Space"
            isOn={state.play > 0}
            press={() => act(playAt(series?.rate ?? 0))}
          />
        )}
      </div>
      <div class="viewer-tool-group">
        <Tool icon="two" word="tool.two" hint="b" isOn={state.layout === "two"} press={() => act(twoUp)} />
        {series?.isVolume && <Tool icon="cube" word="tool.mpr" hint="m" isOn={isMpr} press={() => act(mpr)} />}
        <Tool icon="star" word="tool.key" hint="k" isOn={isKey} press={() => act(markKey)} />
        <Tool icon="erase" word="tool.erase" hint="" press={() => act(erase)} />
      </div>
      {series?.modality === "CT" && (
        <fieldset class="viewer-tool-group viewer-presets">
          <legend class="unseen">{say("tool.presets")}</legend>
          <PresetButton name="file" press={() => act(windowed(fileWindow(viewer)))} isOn={false} />
          {PRESETS.map(({ name, window }) => (
            <PresetButton
              key={name}
              name={name}
              isOn={shown?.window?.join() === window.join()}
              press={() => act(windowed(window))}
            />
          ))}
        </fieldset>
      )}
    </div>
  );
}

/** The window that the file asks for. */
function fileWindow(viewer: Viewer): [number, number] {
  const state = viewer.state.value;
  const shown = state.panes[state.active];
  const set = viewer.seriesOf(shown)?.frames[shown?.at ?? 0]?.set ?? {};
  return [numbersOf(set, "windowCenter")[0] ?? 40, numbersOf(set, "windowWidth")[0] ?? 400];
}

interface ToolProps {
  readonly icon: IconName;
  readonly word: Key;
  readonly hint: string;
  readonly isOn?: boolean;
  readonly press: () => void;
}

function Tool({ icon, word, hint, isOn, press }: ToolProps) {
  return (
    <button
      type="button"
      class="viewer-tool"
      aria-pressed={isOn}
      title={hint ? `${say(word)} (${hint.length === 1 ? hint.toUpperCase() : hint})` : say(word)}
      onClick={press}
    >
      <Icon name={icon} />
      <span>{say(word)}</span>
    </button>
  );
}

function PresetButton({ name, isOn, press }: { name: string; isOn: boolean; press: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed={isOn} onClick={press}>
      {say(`preset.${name}` as Key)}
    </button>
  );
}
