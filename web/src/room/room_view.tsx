// The room itself: pictures in the middle, people and words beside them, one row of controls.

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren, ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { Dialog } from "../parts/dialog.tsx";
import { Icon, type IconName } from "../parts/icon.tsx";
import { Bones } from "../parts/state.tsx";
import { Tag } from "../parts/tag.tsx";
import { isTyping, type KeyHelp, pageKeys } from "../shell/keyboard.tsx";
import { isConnected } from "../shell/line.ts";
import { say, sayTime } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import { Chat } from "./chat.tsx";
import { attempt, People } from "./people.tsx";
import type { Seat } from "./seat.ts";
import { Tile } from "./tile.tsx";
import { may, type Somebody } from "./told.ts";

export type Side = "people" | "chat" | "minutes" | "";

const KEYS: readonly KeyHelp[] = [
  { keys: "M", does: "room.key.mute" },
  { keys: "V", does: "room.key.camera" },
  { keys: "Space", does: "room.key.talk" },
  { keys: "S", does: "room.key.screen" },
  { keys: "C", does: "room.key.chat" },
  { keys: "P", does: "room.key.people" },
];

interface Props {
  readonly seat: Seat;
  readonly title: string;
  /** The images that can be shown here, and how; left out for who may see none. */
  readonly images?: ComponentType<{ seat: Seat }> | undefined;
  readonly chooseImages?: (() => void) | undefined;
  readonly minutes?: ComponentChildren;
}

export function RoomView({ seat, title, images: Images, chooseImages, minutes }: Props) {
  const side = useSignal<Side>(innerWidth > 1000 ? (minutes ? "people" : "chat") : "");
  useRoomKeys(seat, side);
  const room = seat.room.value;
  if (!room) return <Bones rows={4} />;
  const study = seat.review.value?.study;
  const others = room.participants.filter((each) => each.id !== seat.me);
  const me = room.participants.find((each) => each.id === seat.me);
  const screen = others.find((each) => each.publishes.includes("screen"));
  const hasStage = Boolean(study && Images) || screen !== undefined || seat.screen.value !== undefined;
  return (
    <div class={`room ${side.value ? "with-side" : ""} ${hasStage ? "with-stage" : ""}`}>
      <Head seat={seat} title={title} />
      <div class="room-middle">
        <Banners seat={seat} me={me} />
        {hasStage && (
          <section class="room-stage" aria-label={say("room.stage")}>
            {study && Images ? (
              <Images seat={seat} />
            ) : screen ? (
              <Tile who={screen} stream={seat.pictures.value.get(`${screen.id}/screen`)} isScreen />
            ) : (
              me && <Tile who={me} stream={seat.screen.value} isMe isScreen />
            )}
          </section>
        )}
        <Faces seat={seat} others={others} me={me} />
      </div>
      {side.value && (
        <aside class="room-side" aria-label={say(`room.${side.value}` as Key)}>
          <div class="room-side-head">
            <h2>{say(`room.${side.value}` as Key)}</h2>
            <button
              type="button"
              class="button quiet"
              aria-label={say("act.close")}
              onClick={() => {
                side.value = "";
              }}
            >
              <Icon name="close" />
            </button>
          </div>
          {side.value === "people" && <People seat={seat} />}
          {side.value === "chat" && <Chat seat={seat} />}
          {side.value === "minutes" && <div class="room-minutes">{minutes}</div>}
        </aside>
      )}
      <Controls seat={seat} side={side} chooseImages={chooseImages} hasMinutes={Boolean(minutes)} />
    </div>
  );
}

function useRoomKeys(seat: Seat, side: Signal<Side>): void {
  useEffect(() => {
    pageKeys.value = KEYS;
    const toggle = (to: Side) => {
      side.value = side.value === to ? "" : to;
    };
    let wasMuted = false;
    const isForUs = (event: KeyboardEvent) =>
      !isTyping(event) && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector("dialog[open]");
    const isButton = (event: KeyboardEvent) =>
      event.target instanceof Element && event.target.closest("button, a, summary, .viewer") !== null;
    const down = (event: KeyboardEvent) => {
      if (!isForUs(event) || event.defaultPrevented) return;
      const acts: Readonly<Record<string, () => void>> = {
        m: () => attempt(seat.mute(!seat.isMuted.value)),
        v: () => attempt(seat.showCamera(!seat.isCameraOn.value)),
        s: () => attempt(seat.screen.value ? seat.stopScreen() : seat.shareScreen()),
        c: () => toggle("chat"),
        p: () => toggle("people"),
      };
      if (event.key === " " && !event.repeat && !isButton(event) && seat.isMuted.value) {
        wasMuted = true;
        attempt(seat.mute(false));
        event.preventDefault();
      } else if (!event.repeat && !seat.review.value?.study) acts[event.key]?.();
      else if (!event.repeat && "mvc".includes(event.key)) acts[event.key]?.();
    };
    const up = (event: KeyboardEvent) => {
      if (event.key !== " " || !wasMuted) return;
      wasMuted = false;
      attempt(seat.mute(true));
    };
    addEventListener("keydown", down);
    addEventListener("keyup", up);
    return () => {
      pageKeys.value = [];
      removeEventListener("keydown", down);
      removeEventListener("keyup", up);
    };
  }, [seat]);
}

function Head({ seat, title }: { seat: Seat; title: string }) {
  const room = seat.room.value;
  const tones = { "in-progress": "good", "on-hold": "warn", waiting: "info", open: "info", ended: "plain" } as const;
  const state = room?.state ?? "open";
  return (
    <header class="room-head">
      <h1>{title}</h1>
      <Tag tone={tones[state]}>{say(`room.state.${state}` as Key)}</Tag>
      {Boolean(room?.recording) && <Tag tone="urgent">{say("room.recording")}</Tag>}
      {room?.started != null && (
        <span class="soft small numbers">
          {say("room.since", { time: sayTime(new Date(room.started * 1000).toISOString()) })}
        </span>
      )}
    </header>
  );
}

function Banners({ seat, me }: { seat: Seat; me: Somebody | undefined }) {
  const room = seat.room.value;
  return (
    <div class="room-banners" role="status">
      {(!seat.isConnected.value || !isConnected.value) && (
        <p class="call-out warn">
          <Icon name="offline" />
          {say("room.reconnecting")}
        </p>
      )}
      {me?.soundOnly && (
        <div class="call-out warn">
          <Icon name="dark" />
          <p>{say("room.sound.only.why")}</p>
          <button type="button" class="button" onClick={() => attempt(seat.watch("on"))}>
            {say("room.sound.only.show")}
          </button>
        </div>
      )}
      {seat.isEnding.value && room?.limits.until && (
        <div class="call-out warn">
          <Icon name="clock" />
          <p>{say("room.limit", { time: sayTime(new Date(room.limits.until * 1000).toISOString()) })}</p>
          {may(room, "moderate") && (
            <button type="button" class="button" onClick={() => attempt(seat.prolong(30))}>
              {say("room.prolong")}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Faces({ seat, others, me }: { seat: Seat; others: readonly Somebody[]; me: Somebody | undefined }) {
  const pictures = seat.pictures.value;
  const speaking = seat.speaking.value[0];
  // Those whose pictures have a place come first, in the roster's order; faces do not move when somebody speaks.
  const shown = others.slice(0, 12);
  return (
    <section class="room-faces" data-count={shown.length + (me ? 1 : 0)} aria-label={say("room.faces")}>
      {shown.map((each) => (
        <Tile key={each.id} who={each} stream={pictures.get(each.id)} isSpeaking={speaking === each.id} />
      ))}
      {me && (
        <Tile
          who={{ ...me, isMuted: seat.isMuted.value }}
          stream={seat.isCameraOn.value ? seat.stream : undefined}
          isMe
          isSpeaking={speaking === me.id}
        />
      )}
      {others.length > shown.length && <p class="soft">{say("room.more", { count: others.length - shown.length })}</p>}
    </section>
  );
}

interface ControlProps {
  readonly icon: IconName;
  readonly label: string;
  readonly isPressed?: boolean;
  readonly isOff?: boolean;
  readonly count?: number;
  readonly act: () => void;
}

function Control({ icon, label, isPressed, isOff, count, act }: ControlProps) {
  return (
    <button
      type="button"
      class={`control ${isOff ? "off" : ""} ${isPressed ? "on" : ""}`}
      aria-pressed={isPressed}
      onClick={act}
    >
      <Icon name={icon} />
      <span>{label}</span>
      {count ? <em>{count}</em> : null}
    </button>
  );
}

function Controls({
  seat,
  side,
  chooseImages,
  hasMinutes,
}: {
  seat: Seat;
  side: Signal<Side>;
  chooseImages: (() => void) | undefined;
  hasMinutes: boolean;
}) {
  const room = seat.room.value;
  const isAsking = useSignal(false);
  const toggle = (to: Side) => () => {
    side.value = side.value === to ? "" : to;
  };
  const mayEnd = may(room, "end");
  const canShare = "getDisplayMedia" in (navigator.mediaDevices ?? {});
  return (
    <div class="room-controls" role="toolbar" aria-label={say("room.controls")}>
      <Control
        icon={seat.isMuted.value ? "mute" : "mic"}
        label={say(seat.isMuted.value ? "room.unmute" : "room.mute")}
        isOff={seat.isMuted.value}
        act={() => attempt(seat.mute(!seat.isMuted.value))}
      />
      <Control
        icon={seat.isCameraOn.value ? "camera" : "dark"}
        label={say(seat.isCameraOn.value ? "room.camera.off" : "room.camera.on")}
        isOff={!seat.isCameraOn.value}
        act={() => attempt(seat.showCamera(!seat.isCameraOn.value))}
      />
      {canShare && !seat.door.isGuest && (
        <Control
          icon="screen"
          label={say(seat.screen.value ? "room.screen.stop" : "room.screen")}
          isPressed={seat.screen.value !== undefined}
          act={() => attempt(seat.screen.value ? seat.stopScreen() : seat.shareScreen())}
        />
      )}
      {chooseImages && may(room, "present") && <Control icon="images" label={say("room.images")} act={chooseImages} />}
      <Control
        icon="people"
        label={say("room.people")}
        isPressed={side.value === "people"}
        count={room?.queue.waiting?.length ?? 0}
        act={toggle("people")}
      />
      <Control
        icon="chat"
        label={say("room.chat")}
        isPressed={side.value === "chat"}
        count={side.value === "chat" ? 0 : seat.unread.value}
        act={toggle("chat")}
      />
      {hasMinutes && (
        <Control
          icon="report"
          label={say("room.minutes")}
          isPressed={side.value === "minutes"}
          act={toggle("minutes")}
        />
      )}
      <button
        type="button"
        class="control leave"
        onClick={() => {
          isAsking.value = true;
        }}
      >
        <Icon name="leave" />
        <span>{say("room.leave")}</span>
      </button>
      {isAsking.value && (
        <Dialog
          title={say("room.leave.title")}
          close={() => {
            isAsking.value = false;
          }}
          acts={
            <>
              {mayEnd && (
                <button type="button" class="button danger" onClick={() => attempt(seat.endForAll())}>
                  {say("room.end")}
                </button>
              )}
              <button type="button" class="button main" onClick={() => attempt(seat.leave())}>
                {say("room.leave.only")}
              </button>
            </>
          }
        >
          <p>{say(mayEnd ? "room.leave.host" : "room.leave.why")}</p>
        </Dialog>
      )}
    </div>
  );
}
