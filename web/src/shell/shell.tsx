// The frame around every page: header, navigation, the line to the server, notices, and the page itself.

import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useErrorBoundary, useRef } from "preact/hooks";
import { hasEnded, hasRole, isAsked, isIn, logIn } from "../login/session.ts";
import { PAGES } from "../pages.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Icon } from "../parts/icon.tsx";
import { Bones, Empty } from "../parts/state.tsx";
import { language, say } from "../words/say.ts";
import { wantedTheme } from "./display.ts";
import { Header } from "./header.tsx";
import { KeyboardHelp } from "./keyboard.tsx";
import { isConnected, returns } from "./line.ts";
import { Notices, notify } from "./notices.tsx";
import type { Page, PageProps } from "./page.ts";
import { matched, place } from "./router.ts";

/** The pages in the navigation of who is here. */
export function navigable(): readonly Page[] {
  return PAGES.filter((page) => page.nav && hasRole(page.roles));
}

/** The page of a path, and the parts that its pattern names. */
export function pageAt(path: string): { page: Page; parts: Record<string, string> } | undefined {
  for (const page of PAGES) {
    const parts = matched(page.path, path);
    if (parts) return { page, parts };
  }
  return undefined;
}

export function Shell() {
  const found = pageAt(place.value.path);
  const isOut = !isIn.value && !hasEnded.value && found !== undefined && !found.page.open;
  useEffect(() => {
    if (isOut) void logIn(location.pathname + location.search);
  }, [isOut]);
  useEffect(() => {
    wantedTheme.value = found?.page.theme;
    document.title = found ? `${say(found.page.title)} · ${say("app.name")}` : say("app.name");
  }, [found?.page, language.value]);
  useEffect(() => {
    if (returns.value) notify(say("line.back"));
  }, [returns.value]);
  const frame = found?.page.frame ?? "";
  const pages = navigable();
  return (
    <div class={`shell ${frame}`}>
      {frame !== "alone" && (
        <>
          <a class="button main skip" href="#main">
            {say("app.skip")}
          </a>
          <Header />
          <nav class="rail" aria-label={say("app.navigation")}>
            {pages.map((page) => (
              <RailLink key={page.path} page={page} />
            ))}
          </nav>
        </>
      )}
      <main id="main" class="page" tabIndex={-1}>
        {isOut ? <Bones rows={3} /> : found ? <Opened key={place.value.path} {...found} /> : <Missing />}
      </main>
      {!isConnected.value && (
        <p class="line-banner" role="alert">
          <Icon name="offline" />
          {say("line.lost")}
        </p>
      )}
      <Notices />
      <KeyboardHelp pages={pages} />
      {isAsked && hasEnded.value && <LogInAgain />}
    </div>
  );
}

function RailLink({ page }: { page: Page }) {
  const isHere = place.value.path === page.path || place.value.path.startsWith(`${page.path}/`);
  return (
    <a href={page.path} aria-current={isHere ? "page" : undefined}>
      {page.nav && <Icon name={page.nav.icon} />}
      <span>{say(page.title)}</span>
    </a>
  );
}

/** Loads the component of a page when it is first opened, and puts the focus on its heading. */
function Opened({ page, parts }: { page: Page; parts: Record<string, string> }) {
  const component = useSignal<ComponentType<PageProps> | undefined>(undefined);
  const [broken, mend] = useErrorBoundary();
  const isFirst = useRef(true);
  useEffect(() => {
    let isWanted = true;
    page.load().then(
      (loaded) => {
        if (isWanted) component.value = loaded;
      },
      () => notify(say("failure.offline"), "warn"),
    );
    return () => {
      isWanted = false;
    };
  }, [page, returns.value]);
  useEffect(() => {
    if (!component.value || !isFirst.current) return;
    isFirst.current = false;
    scrollTo(0, 0);
    const heading = document.querySelector<HTMLElement>("#main h1");
    if (heading && document.activeElement === document.body) {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    }
  }, [component.value]);
  if (!hasRole(page.roles)) return <Forbidden />;
  if (broken) return <Broken text={String(broken)} again={mend} />;
  const Loaded = component.value;
  return Loaded ? <Loaded parts={parts} /> : <Bones rows={5} />;
}

function Missing() {
  return (
    <>
      <h1 class="unseen">{say("missing.title")}</h1>
      <Empty title={say("missing.title")} icon="search">
        <p>{say("missing")}</p>
        <a class="button" href="/">
          {say("act.back")}
        </a>
      </Empty>
    </>
  );
}

function Forbidden() {
  return (
    <>
      <h1 class="unseen">{say("forbidden.title")}</h1>
      <Empty title={say("forbidden.title")} icon="alert">
        <p>{say("forbidden")}</p>
        <a class="button" href="/day">
          {say("nav.day")}
        </a>
      </Empty>
    </>
  );
}

function Broken({ text, again }: { text: string; again: () => void }) {
  return (
    <Empty title={say("broken.title")} icon="alert">
      <p>{say("broken")}</p>
      <code>{text}</code>
      <button type="button" class="button" onClick={again}>
        {say("act.again")}
      </button>
    </Empty>
  );
}

function LogInAgain() {
  return (
    <Dialog
      title={say("login.again.title")}
      close={() => {
        hasEnded.value = false;
      }}
      acts={
        <button type="button" class="button main" onClick={() => void logIn(location.pathname + location.search)}>
          {say("login.in")}
        </button>
      }
    >
      <p>{say("login.again")}</p>
    </Dialog>
  );
}
