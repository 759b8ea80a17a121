// Before the room: camera, microphone and network are checked; each ends in a yes, or in what to do.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Icon } from "../parts/icon.tsx";
import { say } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import { choose, chosen, measured, roundTrip, stop, type Taken, take } from "./devices.ts";
import { Picture } from "./tile.tsx";

const MILLISECONDS_OF_GOOD_LINE = 300;

interface Props {
  readonly title: string;
  readonly lead?: ComponentChildren;
  /** What stands between the check and the button. */
  readonly children?: ComponentChildren;
  readonly button: string;
  readonly isReady?: boolean;
  readonly enter: (stream: MediaStream) => Promise<void>;
}

export function Check({ title, lead, children, button, isReady = true, enter }: Props) {
  const taken = useSignal<Taken | undefined>(undefined);
  const level = useSignal(0);
  const wasHeard = useSignal(false);
  const line = useSignal<number | undefined | "asking">("asking");
  const devices = useSignal<readonly MediaDeviceInfo[]>([]);
  const isEntering = useSignal(false);
  const times = useSignal(0);
  useEffect(() => {
    let isWanted = true;
    let end = () => {};
    const begin = async () => {
      const found = await take();
      if (!isWanted) return stop(found.stream);
      taken.value = found;
      devices.value = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
      end = measured(found.stream, (now) => {
        level.value = now;
        if (now > 0.05) wasHeard.value = true;
      });
    };
    void begin();
    return () => {
      isWanted = false;
      end();
      if (!isEntering.value) stop(taken.value?.stream);
    };
  }, [times.value, chosen.value]);
  useEffect(() => {
    void roundTrip().then((found) => {
      line.value = found;
    });
  }, [times.value]);
  const go = async () => {
    const { value } = taken;
    if (!value) return;
    isEntering.value = true;
    try {
      await enter(value.stream);
    } catch (thrown) {
      isEntering.value = false;
      throw thrown;
    }
  };
  const found = taken.value;
  const camera = found?.troubles.video;
  const microphone = found?.troubles.audio;
  return (
    <section class="check">
      <div class="check-picture">
        {found && !camera ? (
          <Picture stream={found.stream} label={say("check.preview")} isMirror />
        ) : (
          <div class="tile-letters">
            <Icon name={found ? "dark" : "camera"} />
          </div>
        )}
      </div>
      <div class="check-words">
        <h1>{title}</h1>
        {lead}
        <ul class="check-list">
          <Point state={found ? (camera ? "bad" : "good") : "asking"} title={say("check.camera")}>
            {found && say(camera ? (`check.camera.${camera}` as Key) : "check.camera.good")}
          </Point>
          <Point
            state={found ? (microphone ? "bad" : wasHeard.value ? "good" : "asking") : "asking"}
            title={say("check.microphone")}
          >
            {found &&
              (microphone
                ? say(`check.microphone.${microphone}` as Key)
                : say(wasHeard.value ? "check.microphone.good" : "check.microphone.speak"))}
            {found && !microphone && <meter min={0} max={1} value={level.value} aria-label={say("check.level")} />}
          </Point>
          <Point
            state={
              line.value === "asking" ? "asking" : (line.value ?? 9e9) < MILLISECONDS_OF_GOOD_LINE ? "good" : "bad"
            }
            title={say("check.line")}
          >
            {line.value !== "asking" &&
              (line.value === undefined
                ? say("check.line.none")
                : say(line.value < MILLISECONDS_OF_GOOD_LINE ? "check.line.good" : "check.line.slow", {
                    time: Math.round(line.value),
                  }))}
          </Point>
        </ul>
        {(camera || microphone) && (
          <button
            type="button"
            class="button"
            onClick={() => {
              times.value += 1;
            }}
          >
            {say("check.again")}
          </button>
        )}
        <Devices devices={devices.value} />
        {children}
        <button
          type="button"
          class={`button main check-enter ${isEntering.value ? "busy" : ""}`}
          disabled={!found || !isReady || isEntering.value}
          onClick={() => void go()}
        >
          <Icon name="video" />
          {button}
        </button>
      </div>
    </section>
  );
}

const ICONS = { good: "check", bad: "alert", asking: "clock" } as const;

function Point({
  state,
  title,
  children,
}: {
  state: "good" | "bad" | "asking";
  title: string;
  children: ComponentChildren;
}) {
  return (
    <li class={state}>
      <Icon name={ICONS[state]} />
      <div>
        <strong>{title}</strong>
        <p>{children || say("check.asking")}</p>
      </div>
    </li>
  );
}

/** Other devices than the first, where there are any. */
function Devices({ devices }: { devices: readonly MediaDeviceInfo[] }) {
  const kinds = [
    ["video", "videoinput", say("check.camera")],
    ["audio", "audioinput", say("check.microphone")],
  ] as const;
  return (
    <>
      {kinds.map(([kind, name, label]) => {
        const ours = devices.filter((each) => each.kind === name && each.deviceId);
        if (ours.length < 2) return null;
        return (
          <label key={kind} class="field">
            <span class="label">{label}</span>
            <select
              class="input"
              value={chosen.value[kind] ?? ours[0]?.deviceId ?? ""}
              onChange={(event) => choose(kind, event.currentTarget.value)}
            >
              {ours.map((each) => (
                <option key={each.deviceId} value={each.deviceId}>
                  {each.label}
                </option>
              ))}
            </select>
          </label>
        );
      })}
    </>
  );
}
