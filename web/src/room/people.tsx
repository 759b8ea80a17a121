// Who is in, who waits, and what may be done about them.

import { useSignal } from "@preact/signals";
import { asFailure } from "../fhir/failure.ts";
import { Dialog } from "../parts/dialog.tsx";
import { ChoiceField, TextField } from "../parts/field.tsx";
import { Icon } from "../parts/icon.tsx";
import { Tag } from "../parts/tag.tsx";
import { notify } from "../shell/notices.tsx";
import { say, sayCode } from "../words/say.ts";
import { json } from "./door.ts";
import type { Seat } from "./seat.ts";
import { may, type Somebody } from "./told.ts";

/** Does something, and tells what to do where it fails. */
export function attempt(deed: Promise<unknown>): void {
  deed.catch((thrown: unknown) => {
    const failure = asFailure(thrown);
    notify(`${failure.title}. ${failure.faults[0]?.text ?? failure.remedy}`, "warn");
  });
}

export function People({ seat }: { seat: Seat }) {
  const room = seat.room.value;
  if (!room) return null;
  const waiting = room.queue.waiting ?? [];
  return (
    <div class="people">
      {may(room, "admit") && (
        <section aria-labelledby="waiting">
          <h3 id="waiting">{say("room.waiting", { count: waiting.length })}</h3>
          {waiting.length === 0 && <p class="soft small">{say("room.waiting.none")}</p>}
          <ol class="plain">
            {waiting.map((each) => (
              <li key={each.id} class="person">
                <span class="person-name">
                  <strong>{each.name}</strong>
                  <span class="soft small">
                    {sayCode("seat", each.role)}
                    {each.state === "dropped" && ` · ${say("room.dropped")}`}
                  </span>
                </span>
                <button
                  type="button"
                  class="button main"
                  aria-label={say("room.admit.who", { name: each.name })}
                  onClick={() => attempt(seat.decide(each.id, "admit"))}
                >
                  {say("room.admit")}
                </button>
                <button
                  type="button"
                  class="button quiet"
                  aria-label={say("room.refuse.who", { name: each.name })}
                  onClick={() => attempt(seat.decide(each.id, "refuse"))}
                >
                  <Icon name="close" />
                </button>
              </li>
            ))}
          </ol>
        </section>
      )}
      <section aria-labelledby="inside">
        <h3 id="inside">{say("room.inside", { count: room.participants.length })}</h3>
        <ul class="plain">
          {room.participants.map((each) => (
            <Person key={each.id} seat={seat} who={each} isMe={each.id === seat.me} />
          ))}
        </ul>
      </section>
      {may(room, "invite") && <Invite seat={seat} />}
    </div>
  );
}

function Person({ seat, who, isMe }: { seat: Seat; who: Somebody; isMe: boolean }) {
  const isHost = may(seat.room.value, "moderate") && !isMe;
  return (
    <li class="person">
      <span class="person-name">
        <strong>{isMe ? say("room.me", { name: who.name }) : who.name}</strong>
        <span class="soft small">{sayCode("seat", who.role)}</span>
      </span>
      {who.state === "dropped" && <Tag tone="warn">{say("room.dropped")}</Tag>}
      {who.soundOnly && <Tag tone="warn">{say("room.sound.only")}</Tag>}
      {who.isMuted && (
        <span class="soft">
          <Icon name="mute" />
          <span class="unseen">{say("room.muted")}</span>
        </span>
      )}
      {isHost && !who.isMuted && (
        <button
          type="button"
          class="button quiet"
          aria-label={say("room.mute.who", { name: who.name })}
          onClick={() => attempt(seat.decide(who.id, "mute"))}
        >
          <Icon name="mic" />
        </button>
      )}
      {isHost && (
        <button
          type="button"
          class="button quiet"
          aria-label={say("room.remove.who", { name: who.name })}
          onClick={() => attempt(seat.decide(who.id, "remove"))}
        >
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

const GUESTS = ["patient", "relative", "interpreter", "guest"] as const;

function Invite({ seat }: { seat: Seat }) {
  const isOpen = useSignal(false);
  const role = useSignal<string>("patient");
  const name = useSignal("");
  const link = useSignal("");
  const make = async () => {
    const body = { role: role.value, ...(name.value ? { name: name.value } : {}) };
    const answer = await seat.door.send("/invitations", { method: "POST", ...json(body) });
    const { code } = (await answer.json()) as { code: string };
    // The link of this very page's address: the server may know itself by another name.
    link.value = `${location.origin}/guest#/join/${seat.door.session}/${code}`;
  };
  const close = () => {
    isOpen.value = false;
    link.value = "";
    name.value = "";
  };
  return (
    <>
      <button
        type="button"
        class="button"
        onClick={() => {
          isOpen.value = true;
        }}
      >
        <Icon name="link" />
        {say("room.invite")}
      </button>
      {isOpen.value && (
        <Dialog
          title={say("room.invite")}
          close={close}
          acts={
            link.value ? (
              <button
                type="button"
                class="button main"
                onClick={() => {
                  attempt(navigator.clipboard.writeText(link.value).then(() => notify(say("act.copied"))));
                }}
              >
                <Icon name="link" />
                {say("room.invite.copy")}
              </button>
            ) : (
              <button type="button" class="button main" onClick={() => attempt(make())}>
                {say("room.invite.make")}
              </button>
            )
          }
        >
          {link.value ? (
            <>
              <p>{say("room.invite.link")}</p>
              <code class="invite-link">{link.value}</code>
            </>
          ) : (
            <>
              <ChoiceField
                label={say("room.invite.role")}
                value={role.value}
                change={(value) => {
                  role.value = value;
                }}
                options={GUESTS.map((each) => [each, sayCode("seat", each)] as const)}
              />
              <TextField
                label={say("room.invite.name")}
                hint={say("room.invite.name.hint")}
                value={name.value}
                autocomplete="off"
                change={(value) => {
                  name.value = value;
                }}
              />
            </>
          )}
        </Dialog>
      )}
    </>
  );
}
