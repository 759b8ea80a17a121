// What is written in the room, and files.

import { useSignal } from "@preact/signals";
import type { DocumentReference } from "fhir/r4";
import { useEffect, useRef } from "preact/hooks";
import { read, send } from "../fhir/client.ts";
import { Icon } from "../parts/icon.tsx";
import { say, sayTime } from "../words/say.ts";
import { attempt } from "./people.tsx";
import type { Seat } from "./seat.ts";
import type { Message } from "./told.ts";

const TYPES = ".pdf,.png,.jpg,.jpeg,.webp,.txt,.dcm,.ogg";

export function Chat({ seat }: { seat: Seat }) {
  const draft = useSignal(sessionStorage.getItem(`nhipcau.draft.${seat.door.session}`) ?? "");
  const isSending = useSignal(false);
  const list = useRef<HTMLOListElement>(null);
  const messages = seat.messages.value;
  useEffect(() => {
    seat.unread.value = 0;
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [messages.length]);
  const keep = (text: string) => {
    draft.value = text;
    sessionStorage.setItem(`nhipcau.draft.${seat.door.session}`, text);
  };
  const submit = async () => {
    const text = draft.value.trim();
    if (!text || isSending.value) return;
    isSending.value = true;
    try {
      await seat.say(text);
      keep("");
    } finally {
      isSending.value = false;
    }
  };
  return (
    <div class="chat">
      <ol ref={list} class="plain messages" aria-live="polite" aria-label={say("room.chat")}>
        {messages.length === 0 && <li class="soft">{say("room.chat.none")}</li>}
        {messages.map((each) => (
          <li key={each.id}>
            <p class="small soft">
              <strong>{each.name}</strong> <time dateTime={each.sent}>{sayTime(each.sent)}</time>
            </p>
            {each.text && <p class="message-text">{each.text}</p>}
            {each.document && <FileLink message={each} isGuest={seat.door.isGuest} />}
          </li>
        ))}
      </ol>
      <form
        class="chat-form"
        onSubmit={(event) => {
          event.preventDefault();
          attempt(submit());
        }}
      >
        <label class="unseen" for="chat-text">
          {say("room.chat.write")}
        </label>
        <textarea
          id="chat-text"
          class="input"
          rows={2}
          value={draft.value}
          placeholder={say("room.chat.write")}
          onInput={(event) => keep(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            attempt(submit());
          }}
        />
        <label class="button quiet chat-file">
          <Icon name="clip" />
          <span class="unseen">{say("room.file")}</span>
          <input
            class="unseen"
            type="file"
            accept={TYPES}
            onChange={(event) => {
              const [file] = event.currentTarget.files ?? [];
              if (file) attempt(seat.give(file));
              event.currentTarget.value = "";
            }}
          />
        </label>
        <button type="submit" class="button main" aria-label={say("room.send")} disabled={!draft.value.trim()}>
          <Icon name="send" />
        </button>
      </form>
    </div>
  );
}

/** A file: opened with the token, as the browser's own link would have none. */
function FileLink({ message, isGuest }: { message: Message; isGuest: boolean }) {
  if (isGuest) {
    return (
      <p class="row">
        <Icon name="clip" /> {message.title}
      </p>
    );
  }
  const open = async () => {
    const found: DocumentReference = await read("DocumentReference", message.document?.split("/")[1] ?? "");
    const url = found.content[0]?.attachment.url ?? "";
    const answer = await send(`/fhir/${url}`, {
      headers: { Accept: found.content[0]?.attachment.contentType ?? "*/*" },
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = message.title ?? "";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <button type="button" class="button" onClick={() => attempt(open())}>
      <Icon name="clip" />
      {message.title}
    </button>
  );
}
