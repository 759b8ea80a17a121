// How requests reach a room: with the person's token, or with the token of a guest who has no account.

import { send } from "../fhir/client.ts";
import { Failure, failureOf } from "../fhir/failure.ts";
import { isAsked } from "../login/session.ts";
import { lineIsBack, lineIsLost } from "../shell/line.ts";

export interface Door {
  readonly session: string;
  readonly isGuest: boolean;
  /** Sends a request below the session's address; throws a Failure for what is not 2xx, unless it is expected. */
  readonly send: (path: string, init?: RequestInit, expected?: readonly number[]) => Promise<Response>;
  /** On a server that asks nobody: says which participant this page is. */
  readonly iAm: (participant: string) => void;
  readonly whoAmI: () => string;
}

/** The address of a room's requests. */
export function addressOf(session: string, path = ""): string {
  return `/telesession/sessions/${encodeURIComponent(session)}${path}`;
}

/** The door of who is logged in. */
export function staffDoor(session: string): Door {
  const kept = `nhipcau.place.${session}`;
  return {
    session,
    isGuest: false,
    whoAmI: () => sessionStorage.getItem(kept) ?? "",
    iAm: (participant) => {
      if (!isAsked) sessionStorage.setItem(kept, participant);
    },
    send: async (path, init = {}, expected = []) => {
      const headers = new Headers(init.headers);
      const me = sessionStorage.getItem(kept);
      if (me && !isAsked) headers.set("X-Participant", me);
      return send(path.startsWith("/telesession") ? path : addressOf(session, path), { ...init, headers }, expected);
    },
  };
}

/** The door of a guest. */
export function guestDoor(session: string, token: string): Door {
  return {
    session,
    isGuest: true,
    whoAmI: () => "",
    iAm: () => {},
    send: async (path, init = {}, expected = []) => {
      const headers = new Headers(init.headers);
      headers.set("Authorization", `Bearer ${token}`);
      const url = path.startsWith("/telesession") ? path : addressOf(session, path);
      return checked(await reached(url, { ...init, headers, credentials: "omit" }), expected);
    },
  };
}

export interface Ticket {
  readonly token: string;
  readonly role: string;
  readonly name: string | null;
}

/** Takes the code of an invitation, which is good once. */
export async function ticketFor(session: string, code: string): Promise<Ticket> {
  const init = { method: "POST", ...json({ code }), credentials: "omit" as const };
  const answer = await checked(await reached(addressOf(session, "/guests"), init), []);
  return (await answer.json()) as Ticket;
}

/** A body in JSON, with its header. */
export function json(body: unknown): { headers: Record<string, string>; body: string } {
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function reached(url: string, init: RequestInit): Promise<Response> {
  try {
    const answer = await fetch(url, init);
    lineIsBack();
    return answer;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    lineIsLost();
    throw new Failure("offline", 0);
  }
}

async function checked(answer: Response, expected: readonly number[]): Promise<Response> {
  if (answer.ok || expected.includes(answer.status)) return answer;
  const body = await answer.json().catch(() => undefined);
  throw failureOf(answer.status, body, answer.headers.get("x-request-id") ?? "");
}
