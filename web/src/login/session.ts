// Who is here: log-in by OAuth2 with a proof key as a public SMART client of this same origin, tokens, log-out.
//
// Tokens live in the tab's session storage: a reload keeps them, another tab logs in by the server's own session, and
// nothing is left when the tab closes. SMART App Launch 2.2; RFC 7636; RFC 9700.

import { computed, signal } from "@preact/signals";
import { language } from "../words/say.ts";
import { challengeOf, claimsOf, randomText } from "./proof.ts";

export type Role =
  | "commune-worker"
  | "doctor"
  | "coordinator"
  | "radiologist"
  | "facility-admin"
  | "his"
  | "province"
  | "ministry"
  | "patient"
  | "guest";

/** Somebody who is logged in. `fhirUser` is a reference such as `Practitioner/1`, `organizations` are ids. */
export interface Person {
  readonly login: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly organizations: readonly string[];
  readonly fhirUser: string;
}

interface Tokens {
  readonly access: string;
  readonly refresh: string;
  readonly expires: number;
  readonly person: Person;
}

interface Answer {
  access_token: string;
  refresh_token?: string;
  id_token?: string;
  expires_in: number;
}

export const CLIENT = "nhipcau-app";
export const BACK = "/login/back";
const SCOPE = "openid fhirUser profile online_access user/*.cruds";
const KEPT = "nhipcau.tokens";
const BEGUN = "nhipcau.login";
const MILLISECONDS_EARLY = 60_000;

/** Whether the server asks who is there; its page says so. */
export const isAsked = document.documentElement.dataset.auth === "on";
const base = new URL(document.documentElement.dataset.base ?? "/fhir", location.href);

const tokens = signal<Tokens | undefined>(keptTokens());
/** True when somebody was here whose tokens ended: the page stays, and a log-in is offered. */
export const hasEnded = signal(false);

export const person = computed<Person | undefined>(() => tokens.value?.person);
export const isIn = computed(() => !isAsked || tokens.value !== undefined);

/** Whether the person has one of some roles; on a server that asks nobody, everybody has all. */
export function hasRole(roles: readonly Role[] | undefined): boolean {
  if (!isAsked || !roles) return true;
  return person.value?.roles.some((role) => roles.includes(role)) ?? false;
}

function keptTokens(): Tokens | undefined {
  const kept = sessionStorage.getItem(KEPT);
  return kept ? (JSON.parse(kept) as Tokens) : undefined;
}

function keep(found: Tokens | undefined): void {
  tokens.value = found;
  if (found) sessionStorage.setItem(KEPT, JSON.stringify(found));
  else sessionStorage.removeItem(KEPT);
}

/** Goes to the server's log-in page, and comes back to a path of the app. */
export async function logIn(path: string): Promise<void> {
  if (base.origin !== location.origin) {
    // A code is only sent to the name that the server knows itself by.
    location.assign(base.origin + path);
    return;
  }
  const verifier = randomText();
  const state = randomText(16);
  sessionStorage.setItem(BEGUN, JSON.stringify({ verifier, state, path }));
  const asked = new URLSearchParams({
    response_type: "code",
    client_id: CLIENT,
    redirect_uri: location.origin + BACK,
    scope: SCOPE,
    state,
    aud: base.href,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: "S256",
    ui_locales: language.value,
  });
  location.assign(`/auth/authorize?${asked}`);
}

/** Takes the code that the server sent back; returns the path to go on at. Throws where the log-in failed. */
export async function comeBack(query: URLSearchParams): Promise<string> {
  const begun = JSON.parse(sessionStorage.getItem(BEGUN) ?? "{}") as {
    verifier?: string;
    state?: string;
    path?: string;
  };
  sessionStorage.removeItem(BEGUN);
  if (query.get("error")) throw new Error(query.get("error_description") ?? query.get("error") ?? "");
  const code = query.get("code");
  if (!code || !begun.verifier || query.get("state") !== begun.state) throw new Error("state");
  const answer = await tokenRequest({
    grant_type: "authorization_code",
    code,
    redirect_uri: location.origin + BACK,
    code_verifier: begun.verifier,
  });
  if (!answer) throw new Error("token");
  keep(tokensOf(answer));
  hasEnded.value = false;
  return begun.path ?? "/day";
}

async function tokenRequest(fields: Record<string, string>): Promise<Answer | undefined> {
  const body = new URLSearchParams({ client_id: CLIENT, ...fields });
  const answer = await fetch("/auth/token", { method: "POST", body });
  if (answer.ok) return (await answer.json()) as Answer;
  if (answer.status >= 500 || answer.status === 429) throw new TypeError("the server is busy");
  return undefined;
}

function tokensOf(answer: Answer, before?: Tokens): Tokens {
  return {
    access: answer.access_token,
    refresh: answer.refresh_token ?? "",
    expires: Date.now() + answer.expires_in * 1000,
    person: answer.id_token ? personOf(claimsOf(answer.id_token)) : (before?.person ?? personOf({})),
  };
}

export function personOf(claims: Readonly<Record<string, unknown>>): Person {
  const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  return {
    login: String(claims.sub ?? ""),
    name: String(claims.name ?? claims.sub ?? ""),
    roles: texts(claims.roles) as Role[],
    organizations: texts(claims.organizations),
    fhirUser: String(claims.fhirUser ?? "")
      .split("/")
      .slice(-2)
      .join("/"),
  };
}

/** A token that is good for a while; empty where nobody is asked, or nobody is here. */
export async function bearer(): Promise<string> {
  const found = tokens.value;
  if (!found) return "";
  if (found.expires - Date.now() < MILLISECONDS_EARLY) await renewed();
  return tokens.value?.access ?? "";
}

let renewing: Promise<boolean> | undefined;

/** Gets new tokens, once for all who ask at the same time; false where the person must log in again. */
export function renewed(): Promise<boolean> {
  renewing ??= renew().finally(() => {
    renewing = undefined;
  });
  return renewing;
}

async function renew(): Promise<boolean> {
  const found = tokens.value;
  if (!found) return false;
  const answer = found.refresh
    ? await tokenRequest({ grant_type: "refresh_token", refresh_token: found.refresh })
    : undefined;
  if (answer) {
    keep(tokensOf(answer, found));
    return true;
  }
  sessionStorage.removeItem(KEPT);
  tokens.value = undefined;
  hasEnded.value = true;
  return false;
}

/** Ends the tokens and the server's own session, and goes to the start page. */
export async function logOut(): Promise<void> {
  const access = await bearer();
  if (access) await fetch("/auth/logout", { method: "POST", headers: { Authorization: `Bearer ${access}` } });
  // What is shown stays until the start page replaces it: it would else ask to log in again.
  sessionStorage.removeItem(KEPT);
  location.assign("/");
}
