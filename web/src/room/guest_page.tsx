// The page of a guest: a code that is good once, a name, consent, a check of the devices, and the room. No account.

import "./room.css";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { TextField } from "../parts/field.tsx";
import { Icon } from "../parts/icon.tsx";
import { Empty, FailureState } from "../parts/state.tsx";
import { Menu } from "../shell/header.tsx";
import { notify } from "../shell/notices.tsx";
import { say, sayCode } from "../words/say.ts";
import { Check } from "./check.tsx";
import { guestDoor, type Ticket, ticketFor } from "./door.ts";
import { Seat } from "./seat.ts";
import { Visit } from "./visit.tsx";

const KEPT = "nhipcau.ticket";

interface Kept extends Ticket {
  readonly session: string;
}

function keptTicket(): Kept | undefined {
  const kept = sessionStorage.getItem(KEPT);
  return kept ? (JSON.parse(kept) as Kept) : undefined;
}

/** The session and the code of an address such as `#/join/{session}/{code}`. */
export function invitationIn(hash: string): { session: string; code: string } | undefined {
  const [, session, code] = /^#\/join\/([^/]+)\/([^/]+)$/.exec(hash) ?? [];
  return session && code ? { session: decodeURIComponent(session), code: decodeURIComponent(code) } : undefined;
}

export function GuestPage() {
  const invitation = useSignal(invitationIn(location.hash));
  const ticket = useSignal(invitation.value ? undefined : keptTicket());
  const failure = useSignal<Failure | undefined>(undefined);
  const name = useSignal("");
  const isAgreed = useSignal(false);
  const isTold = useSignal(false);
  const seat = useSignal<Seat | undefined>(undefined);
  useEffect(() => {
    document.documentElement.dataset.guest = "";
    return () => {
      delete document.documentElement.dataset.guest;
    };
  }, []);
  const accept = async () => {
    const { value } = invitation;
    if (!value) return;
    try {
      const given: Kept = { ...(await ticketFor(value.session, value.code)), session: value.session };
      sessionStorage.setItem(KEPT, JSON.stringify(given));
      ticket.value = given;
      name.value = given.name ?? "";
      // The code is used up: it need not stand in the history.
      history.replaceState(null, "", "/guest");
    } catch (thrown) {
      failure.value = asFailure(thrown);
    }
  };
  const enter = async (stream: MediaStream) => {
    const { value } = ticket;
    if (!value) return;
    const made = new Seat(guestDoor(value.session, value.token), stream);
    try {
      await made.join({ display: name.value });
      seat.value = made;
      Object.assign(globalThis, { nhipcauSeat: made });
    } catch (thrown) {
      made.close();
      const found = asFailure(thrown);
      notify(`${found.title}. ${found.faults[0]?.text ?? found.remedy}`, "urgent");
      throw thrown;
    }
  };
  if (seat.value) {
    return (
      <div class="guest-room">
        <Visit
          seat={seat.value}
          title={say("guest.title")}
          again={() => {
            seat.value = undefined;
          }}
        />
      </div>
    );
  }
  return (
    <div class="guest">
      <header class="guest-head">
        <strong>{say("app.name")}</strong>
        <Menu />
      </header>
      {failure.value ? (
        <Spent failure={failure.value} />
      ) : ticket.value ? (
        <Check
          title={say("guest.check")}
          button={say("room.enter")}
          isReady={Boolean(name.value.trim() || ticket.value.name)}
          enter={enter}
        >
          <p class="soft">{say("guest.role", { role: sayCode("seat", ticket.value.role) })}</p>
          {!ticket.value.name && (
            <TextField
              label={say("guest.name")}
              hint={say("guest.name.hint")}
              value={name.value}
              autocomplete="name"
              change={(value) => {
                name.value = value;
              }}
            />
          )}
        </Check>
      ) : invitation.value ? (
        <section class="guest-consent">
          <h1>{say("guest.welcome")}</h1>
          <p>{say("guest.lead")}</p>
          <ul class="guest-points">
            {(["see", "record", "leave", "data"] as const).map((each) => (
              <li key={each}>
                <Icon name="info" />
                <span>{say(`consent.${each}`)}</span>
              </li>
            ))}
          </ul>
          <label class="guest-agree">
            <input
              type="checkbox"
              checked={isAgreed.value}
              onChange={(event) => {
                isAgreed.value = event.currentTarget.checked;
                isTold.value = false;
              }}
            />
            <span>{say("consent.agree")}</span>
          </label>
          {isTold.value && (
            <p class="guest-fault" role="alert">
              {say("consent.needed")}
            </p>
          )}
          <button
            type="button"
            class="button main check-enter"
            onClick={() => {
              if (isAgreed.value) void accept();
              else isTold.value = true;
            }}
          >
            {say("guest.go")}
          </button>
          <p class="soft small">{say("consent.no")}</p>
        </section>
      ) : (
        <Empty title={say("guest.nothing")} icon="link">
          <p>{say("guest.nothing.why")}</p>
        </Empty>
      )}
    </div>
  );
}

function Spent({ failure }: { failure: Failure }) {
  if (failure.kind !== "missing") return <FailureState failure={failure} again={() => location.reload()} />;
  return (
    <>
      <h1 class="unseen">{say("guest.spent")}</h1>
      <Empty title={say("guest.spent")} icon="alert">
        <p>{say("guest.spent.why")}</p>
      </Empty>
    </>
  );
}
