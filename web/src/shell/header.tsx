// The header: which facility, who, in which role; language, display, account.

import type { Organization } from "fhir/r4";
import { useEffect, useRef } from "preact/hooks";
import { read } from "../fhir/client.ts";
import { isAsked, logOut, person } from "../login/session.ts";
import { useAsked } from "../parts/asked.tsx";
import { Icon } from "../parts/icon.tsx";
import { language, say, sayCode, speak } from "../words/say.ts";
import { display, showAs } from "./display.ts";
import { isHelpShown } from "./keyboard.tsx";

export function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" fill="currentcolor" />
      <g fill="none" stroke="var(--card)" stroke-linecap="round">
        <path d="M5 21c4-9 18-9 22 0" stroke-width="2.6" />
        <path d="M5 24h22M11 17.500V24M16 15v9M21 17.500V24" stroke-width="1.8" />
      </g>
    </svg>
  );
}

export function Header() {
  const who = person.value;
  const facility = useAsked<Organization | null>(
    async (stop) => (who?.organizations[0] ? await read("Organization", who.organizations[0], stop) : null),
    [who?.organizations[0]],
  );
  return (
    <header class="bar">
      <a class="brand" href="/day">
        <Mark />
        <span>{say("app.name")}</span>
      </a>
      <p class="facility">{facility.value.value?.name ?? (isAsked ? "" : say("login.open"))}</p>
      <p class="who">
        <span>{who?.name ?? ""}</span>
        <span class="soft small">
          {isAsked ? (who?.roles ?? []).map((role) => sayCode("role", role)).join(", ") : say("login.open.role")}
        </span>
      </p>
      <Menu />
    </header>
  );
}

export function Menu() {
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const open = menu.current?.open && menu.current;
      if (!open) return;
      if (event instanceof KeyboardEvent) {
        if (event.key !== "Escape") return;
        open.querySelector("summary")?.focus();
      } else if (
        event.target instanceof Node &&
        open.contains(event.target) &&
        !(event.target as Element).closest("button")
      )
        return;
      open.open = false;
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close);
    };
  }, []);
  const { isDark, isFar } = display.value;
  const other = language.value === "vi" ? "en" : "vi";
  return (
    <details class="menu" ref={menu}>
      <summary aria-label={say("menu.title")}>
        <Icon name="user" />
      </summary>
      <div>
        <button type="button" class="button" lang={other} onClick={() => speak(other)}>
          <Icon name="language" />
          {say("menu.language")}
        </button>
        <button type="button" class="button" onClick={() => showAs({ isDark: !isDark })}>
          <Icon name={isDark ? "sun" : "moon"} />
          {say(isDark ? "menu.light" : "menu.dark")}
        </button>
        <button type="button" class="button" onClick={() => showAs({ isFar: !isFar })}>
          <Icon name="type" />
          {say(isFar ? "menu.near" : "menu.far")}
        </button>
        <button
          type="button"
          class="button"
          onClick={() => {
            isHelpShown.value = true;
          }}
        >
          <Icon name="keyboard" />
          {say("menu.keys")}
        </button>
        {person.value && (
          <>
            <a class="button" href="/auth/account">
              <Icon name="user" />
              {say("login.account")}
            </a>
            <button type="button" class="button" onClick={() => void logOut()}>
              <Icon name="out" />
              {say("login.out")}
            </button>
          </>
        )}
      </div>
    </details>
  );
}
