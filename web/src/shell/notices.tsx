// Notices: what was done, or what happened; they go by themselves, and are read aloud politely.

import { signal } from "@preact/signals";
import { Icon } from "../parts/icon.tsx";
import { say } from "../words/say.ts";

type NoticeTone = "good" | "info" | "warn" | "urgent";

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly tone: NoticeTone;
}

const SECONDS_SHOWN = 6;
const notices = signal<readonly Notice[]>([]);
let count = 0;

/** Shows a notice for some seconds; one that is urgent stays until it is closed. */
export function notify(text: string, tone: NoticeTone = "good"): void {
  count += 1;
  const id = count;
  notices.value = [...notices.value.filter((each) => each.text !== text).slice(-3), { id, text, tone }];
  if (tone !== "urgent") setTimeout(() => dismiss(id), SECONDS_SHOWN * 1000);
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((each) => each.id !== id);
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`call-out ${notice.tone}`}>
          <p>{notice.text}</p>
          <button type="button" class="button quiet" aria-label={say("act.close")} onClick={() => dismiss(notice.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
