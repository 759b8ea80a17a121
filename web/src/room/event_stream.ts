// Server-sent events read by fetch, so that the token goes in a header; after a cut it goes on where it was
// (HTML Living Standard, 9.2.6).

import { asFailure, type Failure } from "../fhir/failure.ts";
import type { Door } from "./door.ts";

export interface Heard {
  readonly event: string;
  readonly data: unknown;
  readonly id: string;
}

const MILLISECONDS_BEFORE_AGAIN = [300, 700, 1500, 3000, 5000] as const;
/** The server sends a comment every 15 seconds: silence for longer is a lost line. */
const MILLISECONDS_OF_SILENCE = 20_000;

interface Ears {
  readonly heard: (heard: Heard) => void;
  /** The stream is open, or broke: it is tried again. */
  readonly line: (isThere: boolean) => void;
  /** The server will not tell any more. */
  readonly refused: (failure: Failure) => void;
}

/** Reads the events of a room until it is stopped. */
export function listen(door: Door, ears: Ears): () => void {
  const stopper = new AbortController();
  void reading(door, ears, stopper.signal);
  return () => stopper.abort();
}

async function reading(door: Door, ears: Ears, stop: AbortSignal): Promise<void> {
  let last = "";
  let failures = 0;
  while (!stop.aborted) {
    try {
      await once(door, last, stop, (heard) => {
        failures = 0;
        if (heard.id) last = heard.id;
        ears.line(true);
        ears.heard(heard);
      });
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (stop.aborted) return;
      if (["forbidden", "missing", "conflict", "login"].includes(failure.kind)) return ears.refused(failure);
    }
    if (stop.aborted) return;
    ears.line(false);
    await pause(MILLISECONDS_BEFORE_AGAIN[Math.min(failures, MILLISECONDS_BEFORE_AGAIN.length - 1)] ?? 0, stop);
    failures += 1;
  }
}

async function once(door: Door, last: string, stop: AbortSignal, heard: (heard: Heard) => void): Promise<void> {
  const broken = new AbortController();
  const end = () => broken.abort();
  stop.addEventListener("abort", end);
  addEventListener("offline", end);
  let silence = setTimeout(end, MILLISECONDS_OF_SILENCE);
  try {
    const headers: Record<string, string> = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
    const answer = await door.send("/events", { headers, signal: broken.signal, cache: "no-store" });
    if (!answer.body) return;
    let text = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(end, MILLISECONDS_OF_SILENCE);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const found = eventIn(block);
        if (found) heard(found);
      }
    }
  } finally {
    clearTimeout(silence);
    stop.removeEventListener("abort", end);
    removeEventListener("offline", end);
  }
}

/** The event in a block of lines; undefined for a comment. */
export function eventIn(block: string): Heard | undefined {
  const fields: Record<string, string> = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).replace(/^ /, "");
  }
  if (!fields.event) return undefined;
  return { event: fields.event, data: fields.data ? JSON.parse(fields.data) : undefined, id: fields.id ?? "" };
}

function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      removeEventListener("online", done);
      resolve();
    }
    stop.addEventListener("abort", done);
    addEventListener("online", done);
  });
}
