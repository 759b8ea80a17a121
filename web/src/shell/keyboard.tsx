// The keyboard: `g` and a letter go to a page, `/` to the search field, `?` shows what there is.

import { signal } from "@preact/signals";
import { Dialog } from "../parts/dialog.tsx";
import { say } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import type { Page } from "./page.ts";
import { go } from "./router.ts";

/** A key of a page, with what it does. */
export interface KeyHelp {
  readonly keys: string;
  readonly does: Key;
}

const MILLISECONDS_TO_FOLLOW = 1_200;
export const isHelpShown = signal(false);
/** What the open page adds to the map of keys. */
export const pageKeys = signal<readonly KeyHelp[]>([]);

let leader = 0;

/** Whether somebody is typing, so that letters are letters. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : null;
  return Boolean(
    target?.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable=true]"),
  );
}

/** Listens to the keys of every page, before any page does; `pages` tells where letters lead. */
export function listenToKeys(pages: () => readonly Page[]): void {
  const heed = (event: KeyboardEvent) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"))
      return;
    const follows = performance.now() - leader < MILLISECONDS_TO_FOLLOW;
    leader = 0;
    const target = follows ? pages().find((page) => page.nav?.key === event.key) : undefined;
    if (target) {
      event.preventDefault();
      event.stopImmediatePropagation();
      go(target.path);
    } else if (event.key === "g") leader = performance.now();
    else if (event.key === "?") isHelpShown.value = true;
    else if (event.key === "/") {
      const field = document.querySelector<HTMLInputElement>("main input[type=search]");
      if (field) event.preventDefault();
      field?.focus();
    }
  };
  addEventListener("keydown", heed, { capture: true });
}

export function KeyboardHelp({ pages }: { pages: readonly Page[] }) {
  if (!isHelpShown.value) return null;
  return (
    <Dialog
      title={say("keys.title")}
      close={() => {
        isHelpShown.value = false;
      }}
    >
      {pageKeys.value.length > 0 && (
        <>
          <h3>{say("keys.this")}</h3>
          <dl class="keys">
            {pageKeys.value.map((each) => (
              <Row key={each.keys} keys={each.keys} text={say(each.does)} />
            ))}
          </dl>
        </>
      )}
      <h3>{say("keys.everywhere")}</h3>
      <dl class="keys">
        <Row keys="?" text={say("keys.help")} />
        <Row keys="/" text={say("keys.search")} />
        {pages.flatMap((page) =>
          page.nav ? (
            <Row key={page.path} keys={`g ${page.nav.key}`} text={say("keys.page", { page: say(page.title) })} />
          ) : (
            []
          ),
        )}
      </dl>
    </Dialog>
  );
}

function Row({ keys, text }: { keys: string; text: string }) {
  return (
    <>
      <dt>
        {keys.split(" ").map((each) => (
          <kbd key={each}>{each}</kbd>
        ))}
      </dt>
      <dd>{text}</dd>
    </>
  );
}
