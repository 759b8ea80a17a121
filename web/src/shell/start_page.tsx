// The first page: what this is, and the way in.

import "./start_page.css";
import { isIn, logIn } from "../login/session.ts";
import { Icon } from "../parts/icon.tsx";
import { language, say, speak } from "../words/say.ts";
import type { Key } from "../words/table.ts";
import { Mark } from "./header.tsx";

const PARTS = ["ask", "see", "sign"] as const;
const ICONS = { ask: "requests", see: "images", sign: "sign" } as const;

export function StartPage() {
  const other = language.value === "vi" ? "en" : "vi";
  return (
    <div class="start">
      <header>
        <p class="brand">
          <Mark />
          <span>{say("app.name")}</span>
        </p>
        <button type="button" class="button quiet" lang={other} onClick={() => speak(other)}>
          {say("menu.language")}
        </button>
      </header>
      <section class="start-lead">
        <h1>{say("start.title")}</h1>
        <p>{say("start.lead")}</p>
        {isIn.value ? (
          <a class="button main" href="/day">
            {say("start.day")}
          </a>
        ) : (
          <button type="button" class="button main" onClick={() => void logIn("/day")}>
            {say("login.in")}
          </button>
        )}
      </section>
      <ul class="start-parts">
        {PARTS.map((part) => (
          <li key={part} class="card">
            <Icon name={ICONS[part]} />
            <h2>{say(`start.${part}.title` as Key)}</h2>
            <p>{say(`start.${part}` as Key)}</p>
          </li>
        ))}
      </ul>
      <footer>
        <h2>{say("start.developers")}</h2>
        <p>
          FHIR R4: <code>{location.origin}/fhir</code>
        </p>
        <p class="row">
          <a href="/console">{say("nav.console")}</a>
          <a href="/fhir/metadata?_pretty=true">{say("start.capability")}</a>
        </p>
      </footer>
    </div>
  );
}
