// A request that failed, in the words of what to do about it.

import type { OperationOutcome } from "fhir/r4";
import { say } from "../words/say.ts";
import type { Key } from "../words/table.ts";

export type Kind = "offline" | "login" | "forbidden" | "missing" | "conflict" | "invalid" | "busy" | "server";

const KINDS: Readonly<Record<number, Kind>> = {
  400: "invalid",
  401: "login",
  403: "forbidden",
  404: "missing",
  406: "invalid",
  409: "conflict",
  410: "missing",
  412: "conflict",
  413: "invalid",
  415: "invalid",
  422: "invalid",
  429: "busy",
  503: "busy",
};

/** One thing that is wrong: where, and what; as the server says it. */
export interface Fault {
  readonly text: string;
  readonly where: string;
}

export class Failure extends Error {
  constructor(
    readonly kind: Kind,
    readonly status: number,
    readonly faults: readonly Fault[] = [],
    readonly request = "",
  ) {
    super(faults[0]?.text ?? kind);
    this.name = "Failure";
  }

  get title(): string {
    return say(`failure.${this.kind}.title` as Key);
  }

  get remedy(): string {
    return say(`failure.${this.kind}` as Key, { request: this.request || "?" });
  }
}

/** The failure that an answer tells. */
export function failureOf(status: number, body: unknown, request = ""): Failure {
  return new Failure(KINDS[status] ?? "server", status, faultsOf(body), request);
}

/** What an OperationOutcome says is wrong; nothing for anything else. */
export function faultsOf(body: unknown): Fault[] {
  if (!isOutcome(body)) return [];
  return body.issue
    .filter((issue) => issue.severity === "error" || issue.severity === "fatal")
    .map((issue) => ({
      text: issue.details?.text ?? issue.diagnostics ?? issue.code,
      where: issue.expression?.[0] ?? "",
    }));
}

export function isOutcome(body: unknown): body is OperationOutcome {
  return typeof body === "object" && body !== null && (body as OperationOutcome).resourceType === "OperationOutcome";
}

/** Anything that was thrown, as a failure. */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  return new Failure("server", 0, [{ text: thrown instanceof Error ? thrown.message : String(thrown), where: "" }]);
}
