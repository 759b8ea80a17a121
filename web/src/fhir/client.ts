// The FHIR server as the app asks it: typed, with the person's token, failures in words (FHIR R4, RESTful API).

import type { Bundle, FhirResource, Parameters, Resource } from "fhir/r4";
import { bearer, renewed } from "../login/session.ts";
import { lineIsBack, lineIsLost } from "../shell/line.ts";
import { Failure, failureOf } from "./failure.ts";

export const BASE = "/fhir";
const JSON_TYPE = "application/fhir+json";

type Named<Type extends FhirResource["resourceType"]> = Extract<FhirResource, { resourceType: Type }>;
export type Query = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** A page of a search: what matches, what came along by type and id, and the address of the next page. */
export interface Found<R> {
  readonly matches: readonly R[];
  readonly included: ReadonlyMap<string, FhirResource>;
  readonly total: number | undefined;
  readonly next: string | undefined;
}

/** Sends a request anywhere on this server with the token; throws a Failure for what is neither 2xx nor expected. */
export async function send(url: string, init: RequestInit = {}, expected: readonly number[] = []): Promise<Response> {
  let answer = await once(url, init);
  if (answer.status === 401 && (await renewed())) answer = await once(url, init);
  if (answer.ok || expected.includes(answer.status)) return answer;
  throw failureOf(answer.status, await bodyOf(answer), answer.headers.get("x-request-id") ?? "");
}

async function once(url: string, init: RequestInit): Promise<Response> {
  const token = await bearer();
  const headers = new Headers(init.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  try {
    const answer = await fetch(url, { ...init, headers, credentials: "omit" });
    lineIsBack();
    return answer;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    lineIsLost();
    throw new Failure("offline", 0);
  }
}

async function bodyOf(answer: Response): Promise<unknown> {
  const text = await answer.text();
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<T> {
  const init: RequestInit = { method, headers: { Accept: JSON_TYPE, ...headers }, signal: signal ?? null };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": JSON_TYPE, ...(init.headers as Record<string, string>) };
  }
  const answer = await send(path.startsWith("/") ? path : `${BASE}/${path}`, init);
  return (await bodyOf(answer)) as T;
}

export function read<Type extends FhirResource["resourceType"]>(
  type: Type,
  id: string,
  signal?: AbortSignal,
): Promise<Named<Type>> {
  return ask("GET", `${type}/${encodeURIComponent(id)}`, undefined, {}, signal);
}

/** The first page of a search. */
export async function search<Type extends FhirResource["resourceType"]>(
  type: Type,
  query: Query,
  signal?: AbortSignal,
): Promise<Found<Named<Type>>> {
  return foundOf(await ask<Bundle>("GET", `${type}?${queryText(query)}`, undefined, {}, signal));
}

/** The page that a link `next` leads to. */
export async function following<R extends Resource>(url: string, signal?: AbortSignal): Promise<Found<R>> {
  return foundOf(await ask<Bundle>("GET", pathOf(url), undefined, {}, signal));
}

export function create<R extends FhirResource>(resource: R): Promise<R> {
  return ask("POST", resource.resourceType, resource);
}

/** Puts a new version in the place of the one that was read; a conflict where somebody else did so meanwhile. */
export function update<R extends FhirResource>(resource: R): Promise<R> {
  const version = resource.meta?.versionId;
  return ask(
    "PUT",
    `${resource.resourceType}/${resource.id}`,
    resource,
    version ? { "If-Match": `W/"${version}"` } : {},
  );
}

/** Calls an operation, such as `ServiceRequest/1/$tele-accept`, with Parameters. */
export function operation<R = Parameters>(path: string, parameters?: Parameters["parameter"]): Promise<R> {
  return ask("POST", path, { resourceType: "Parameters", ...(parameters?.length ? { parameter: parameters } : {}) });
}

/** Anything below the base, as it is. */
export function getJson<T = unknown>(path: string, signal?: AbortSignal): Promise<T> {
  return ask("GET", path, undefined, {}, signal);
}

export function queryText(query: Query): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === "") continue;
    for (const each of Array.isArray(value) ? value : [value]) pairs.append(name, String(each));
  }
  return pairs.toString();
}

function foundOf<R>(bundle: Bundle): Found<R> {
  const matches: R[] = [];
  const included = new Map<string, FhirResource>();
  for (const { resource, search: how } of bundle.entry ?? []) {
    if (!resource || how?.mode === "outcome") continue;
    included.set(`${resource.resourceType}/${resource.id}`, resource as FhirResource);
    if (how?.mode !== "include") matches.push(resource as R);
  }
  const next = bundle.link?.find((link) => link.relation === "next")?.url;
  return { matches, included, total: bundle.total, next };
}

/** The path of an address of this server, whatever name it calls itself by. */
export function pathOf(url: string): string {
  const parsed = new URL(url, "http://here");
  return parsed.pathname + parsed.search;
}
