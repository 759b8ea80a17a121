// Frames of images as they are stored. Those of one instance that are wanted at the same moment come in one answer, and
// the first of a study is asked for while the library that will draw it still loads.

import { send } from "../fhir/client.ts";
import { type Part, partsOf } from "./parts.ts";

const MOST_AT_ONCE = 24;
const ANY_SYNTAX = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

interface Wanted {
  readonly number: number;
  readonly resolve: (part: Part) => void;
  readonly reject: (why: unknown) => void;
}

const waiting = new Map<string, Wanted[]>();
const early = new Map<string, Promise<Part>>();

/** Asks for a frame that will soon be wanted. */
export function askEarly(url: string): void {
  const part = ask(url);
  early.set(url, part);
  part.catch(() => early.delete(url));
}

/** The frame at an address such as `.../instances/1.2/frames/3`; what was asked early is handed out once. */
export function frameAt(url: string): Promise<Part> {
  const found = early.get(url);
  early.delete(url);
  return found ?? ask(url);
}

function ask(url: string): Promise<Part> {
  const cut = url.lastIndexOf("/");
  const [folder, number] = [url.slice(0, cut), Number(url.slice(cut + 1))];
  return new Promise((resolve, reject) => {
    const wanted = waiting.get(folder) ?? [];
    wanted.push({ number, resolve, reject });
    if (wanted.length > 1) return;
    waiting.set(folder, wanted);
    queueMicrotask(() => {
      waiting.delete(folder);
      for (let at = 0; at < wanted.length; at += MOST_AT_ONCE)
        void fetchAll(folder, wanted.slice(at, at + MOST_AT_ONCE));
    });
  });
}

async function fetchAll(folder: string, wanted: readonly Wanted[]): Promise<void> {
  try {
    const numbers = [...new Set(wanted.map((each) => each.number))];
    const answer = await send(`${folder}/${numbers.join(",")}`, { headers: { Accept: ANY_SYNTAX } });
    const message = new Uint8Array(await answer.arrayBuffer());
    const parts = partsOf(answer.headers.get("content-type") ?? "", message);
    for (const each of wanted) {
      const part = parts[numbers.indexOf(each.number)];
      if (part) each.resolve(part);
      else each.reject(new Error(`frame ${each.number} did not come`));
    }
  } catch (thrown) {
    for (const each of wanted) each.reject(thrown);
  }
}
