// A face, or a screen: the picture where one comes, else the letters of the name; who it is, and how they are.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../parts/icon.tsx";
import { say, sayCode } from "../words/say.ts";
import type { Somebody } from "./told.ts";

const MILLISECONDS_OF_STILL = 3_000;

/** Shows a stream; `tell` hears whether pictures come. */
export function Picture({
  stream,
  label,
  isMirror = false,
  tell,
}: {
  stream: MediaStream;
  label: string;
  isMirror?: boolean;
  tell?: (isMoving: boolean) => void;
}) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const shown = video.current;
    if (!shown) return;
    shown.srcObject = stream;
    void shown.play().catch(() => {});
    let still: ReturnType<typeof setTimeout> | undefined;
    let isWanted = true;
    const heed = () => {
      if (!isWanted) return;
      tell?.(true);
      clearTimeout(still);
      still = setTimeout(() => isWanted && tell?.(false), MILLISECONDS_OF_STILL);
      shown.requestVideoFrameCallback(heed);
    };
    shown.requestVideoFrameCallback(heed);
    return () => {
      isWanted = false;
      clearTimeout(still);
      shown.srcObject = null;
    };
  }, [stream]);
  return <video ref={video} class={isMirror ? "mirror" : ""} muted playsInline autoPlay aria-label={label} />;
}

/** The first letters of the last two words: `Nguyễn Thị Mai` is `TM`. */
export function lettersOf(name: string): string {
  return name
    .split(/\s+/)
    .filter((word) => word && !/\.$/.test(word))
    .slice(-2)
    .map((word) => word[0]?.toLocaleUpperCase("vi") ?? "")
    .join("");
}

interface TileProps {
  readonly who: Somebody;
  readonly stream: MediaStream | undefined;
  readonly isMe?: boolean;
  readonly isScreen?: boolean;
  readonly isSpeaking?: boolean;
}

export function Tile({ who, stream, isMe = false, isScreen = false, isSpeaking = false }: TileProps) {
  const isMoving = useSignal(false);
  const isAway = who.state === "dropped";
  const name = isMe ? say("room.me", { name: who.name }) : who.name;
  const label = isScreen ? say("room.screen.of", { name: who.name }) : name;
  const isShown = stream !== undefined && isMoving.value && !isAway;
  return (
    <figure class={`tile ${isScreen ? "screen" : ""} ${isSpeaking ? "speaking" : ""}`} data-participant={who.id}>
      {stream && (
        <div class={`tile-picture ${isShown ? "" : "covered"}`}>
          <Picture
            stream={stream}
            label={label}
            isMirror={isMe && !isScreen}
            tell={(moves) => {
              isMoving.value = moves;
            }}
          />
        </div>
      )}
      {!isShown && (
        <div class="tile-letters">
          <span aria-hidden="true">{lettersOf(who.name)}</span>
          {isAway && <small>{say("room.dropped")}</small>}
        </div>
      )}
      <figcaption>
        <strong>{label}</strong>
        {!isScreen && <span class="tile-role">{sayCode("seat", who.role)}</span>}
        {isSpeaking && !who.isMuted && (
          <span class="tile-mark">
            <Icon name="mic" />
            <span class="unseen">{say("room.speaking")}</span>
          </span>
        )}
        {who.isMuted && !isScreen && (
          <span class="tile-mark muted">
            <Icon name="mute" />
            <span class="unseen">{say("room.muted")}</span>
          </span>
        )}
      </figcaption>
    </figure>
  );
}
