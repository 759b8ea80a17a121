// A visit to a room, from the door to the way out: waiting, inside, over.

import { useSignal } from "@preact/signals";
import type { ComponentChildren, ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { Icon } from "../parts/icon.tsx";
import { Empty, FailureState } from "../parts/state.tsx";
import { isKey, say } from "../words/say.ts";
import { type Door, json } from "./door.ts";
import { attempt } from "./people.tsx";
import { RoomView } from "./room_view.tsx";
import type { Seat } from "./seat.ts";
import { Picture } from "./tile.tsx";

interface Props {
  readonly seat: Seat;
  readonly title: string;
  readonly images?: ComponentType<{ seat: Seat }> | undefined;
  readonly chooseImages?: (() => void) | undefined;
  readonly minutes?: ComponentChildren;
  /** Comes back after leaving. */
  readonly again: () => void;
  /** Where the way out leads. */
  readonly home?: ComponentChildren;
}

export function Visit({ seat, title, images, chooseImages, minutes, again, home }: Props) {
  useEffect(() => {
    // A page that is closed lets go at once; the place is kept for who reloads it.
    const close = () => seat.close();
    addEventListener("pagehide", close);
    return () => {
      removeEventListener("pagehide", close);
      seat.close();
    };
  }, [seat]);
  if (seat.out.value) return <Out seat={seat} again={again} home={home} />;
  if (!seat.isInside.value) return <Waiting seat={seat} title={title} />;
  return <RoomView seat={seat} title={title} images={images} chooseImages={chooseImages} minutes={minutes} />;
}

function Waiting({ seat, title }: { seat: Seat; title: string }) {
  const room = seat.room.value;
  const position = room?.me?.position ?? room?.queue.position;
  return (
    <section class="waiting" aria-labelledby="waiting-title">
      <div class="waiting-picture">
        {seat.isCameraOn.value ? (
          <Picture stream={seat.stream} label={say("check.preview")} isMirror />
        ) : (
          <div class="tile-letters">
            <Icon name="dark" />
          </div>
        )}
      </div>
      <div class="waiting-words" role="status">
        <h1 id="waiting-title">{say("wait.title")}</h1>
        <p class="soft">{title}</p>
        {position ? (
          <p class="waiting-place">
            <span class="numbers">{position}</span>
            {say("wait.place", { count: room?.queue.length ?? position })}
          </p>
        ) : null}
        <p>{say(room?.hostPresent ? "wait.host" : "wait.nobody")}</p>
        <p class="soft">{say("wait.stay")}</p>
        {!seat.isConnected.value && (
          <p class="call-out warn">
            <Icon name="offline" />
            {say("room.reconnecting")}
          </p>
        )}
        <button type="button" class="button" onClick={() => attempt(seat.leave())}>
          {say("wait.leave")}
        </button>
      </div>
    </section>
  );
}

function Out({ seat, again, home }: { seat: Seat; again: () => void; home: ComponentChildren }) {
  const key = `out.${seat.out.value}`;
  const mayComeBack = seat.out.value === "left" || seat.out.value === "lost";
  return (
    <section class="out">
      <h1 class="unseen">{say("out.title")}</h1>
      <Empty title={isKey(key) ? say(key) : say("out.left")} icon={seat.out.value === "ended" ? "check" : "leave"}>
        {seat.failure.value && seat.out.value === "refused" && <FailureState failure={seat.failure.value} />}
        <div class="row">
          {mayComeBack && (
            <button type="button" class="button main" onClick={again}>
              {say("out.back")}
            </button>
          )}
          {home}
        </div>
      </Empty>
      {(seat.out.value === "ended" || seat.out.value === "left") && <Survey door={seat.door} />}
    </section>
  );
}

/** How it was, in one tap. */
function Survey({ door }: { door: Door }) {
  const isDone = useSignal(false);
  if (isDone.value) {
    return (
      <p class="survey" role="status">
        {say("survey.thanks")}
      </p>
    );
  }
  const judge = async (rating: number) => {
    await door.send("/survey", { method: "POST", ...json({ rating }) });
    isDone.value = true;
  };
  return (
    <fieldset class="survey">
      <legend>{say("survey.title")}</legend>
      <div class="row">
        {[1, 2, 3, 4, 5].map((rating) => (
          <button key={rating} type="button" class="button" onClick={() => attempt(judge(rating))}>
            {rating}
          </button>
        ))}
      </div>
      <p class="soft small">{say("survey.scale")}</p>
    </fieldset>
  );
}
