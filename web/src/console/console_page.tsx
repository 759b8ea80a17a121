// The console of those who write programs: an address, the request, the answer; and the check of a resource.

import "./console_page.css";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { pathOf, send } from "../fhir/client.ts";
import { asFailure, type Failure, isOutcome } from "../fhir/failure.ts";
import { AreaField, TextField } from "../parts/field.tsx";
import { Bones, Empty, FailureState } from "../parts/state.tsx";
import { notify } from "../shell/notices.tsx";
import { place, setQuery } from "../shell/router.ts";
import { say, sayCode } from "../words/say.ts";

const EXAMPLES = [
  "Patient?name=ly",
  "Patient?gender=female&birthdate=ge1980",
  "Observation?code=http://loinc.org|85354-9&_include=Observation:subject",
  "Encounter?class=VR&_sort=-date",
  "Task?status=accepted&_include=Task:focus",
  "ServiceRequest?subject:Patient.name=ly&_revinclude=Task:focus",
  "metadata",
];

interface Answer {
  readonly body: unknown;
  readonly milliseconds: number;
  readonly failure?: Failure;
}

export function ConsolePage() {
  const asked = place.value.query.get("ask") ?? "";
  const text = useSignal(asked || "Patient?_count=10");
  const answer = useSignal<Answer | "waiting" | undefined>(undefined);
  const shown = useRef("");
  const run = async (path: string) => {
    const trimmed = below(path.trim());
    shown.current = trimmed;
    text.value = trimmed;
    setQuery({ ask: trimmed });
    answer.value = "waiting";
    answer.value = await answered(trimmed);
  };
  useEffect(() => {
    if (asked && asked !== shown.current) void run(asked);
  }, [asked]);
  return (
    <>
      <div class="page-head">
        <div>
          <h1>{say("nav.console")}</h1>
          <p>{say("console.lead")}</p>
        </div>
      </div>
      <div class="console">
        <section class="card" aria-label={say("console.address")}>
          <form
            class="card-body console-form"
            onSubmit={(event) => {
              event.preventDefault();
              void run(text.value);
            }}
          >
            <TextField
              type="search"
              label={say("console.address")}
              value={text.value}
              autocomplete="off"
              spellcheck={false}
              change={(value) => {
                text.value = value;
              }}
            />
            <div class="row">
              <button type="submit" class="button main">
                {say("console.run")}
              </button>
              <button
                type="button"
                class="button"
                onClick={() => void run(`${text.value}${text.value.includes("?") ? "&" : "?"}_explain=true`)}
              >
                {say("console.explain")}
              </button>
              <button type="button" class="button quiet" onClick={() => void copied(curlOf(text.value))}>
                {say("console.curl")}
              </button>
            </div>
            <fieldset class="chips">
              <legend class="unseen">{say("console.examples")}</legend>
              {EXAMPLES.map((example) => (
                <button key={example} type="button" class="chip" onClick={() => void run(example)}>
                  {example}
                </button>
              ))}
            </fieldset>
          </form>
        </section>
        <section class="card" aria-labelledby="answer" aria-live="polite">
          <h2 id="answer">{say("console.answer")}</h2>
          <AnswerView answer={answer.value} run={run} />
        </section>
        <Check />
      </div>
    </>
  );
}

async function answered(path: string): Promise<Answer> {
  const begun = performance.now();
  try {
    const body: unknown = await (await send(`/fhir/${path}`, { headers: { Accept: "application/fhir+json" } })).json();
    return { body, milliseconds: performance.now() - begun };
  } catch (thrown) {
    return { body: undefined, milliseconds: performance.now() - begun, failure: asFailure(thrown) };
  }
}

/** What stands after the base in an address, whether or not the base was typed along. */
export function below(path: string): string {
  const at = path.indexOf("/fhir/");
  return (at < 0 ? path : path.slice(at + "/fhir/".length)).replace(/^\/+/, "");
}

function curlOf(path: string): string {
  const url = `${location.origin}/fhir/${below(path)}`.replaceAll("'", "%27");
  return `curl -H 'Accept: application/fhir+json' -H "Authorization: Bearer $TOKEN" '${url}'`;
}

async function copied(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  notify(say("act.copied"));
}

interface Entry {
  readonly resource?: { readonly resourceType: string; readonly id?: string; readonly [name: string]: unknown };
  readonly search?: { readonly mode?: string };
}

function AnswerView({ answer, run }: { answer: Answer | "waiting" | undefined; run: (path: string) => Promise<void> }) {
  if (answer === "waiting") return <Bones rows={5} />;
  if (!answer) {
    return (
      <Empty title={say("console.none")} icon="console">
        <p>{say("console.none.why")}</p>
      </Empty>
    );
  }
  if (answer.failure) return <FailureState failure={answer.failure} />;
  const body = answer.body as {
    resourceType?: string;
    entry?: Entry[];
    total?: number;
    link?: { relation: string; url: string }[];
  };
  if (body.resourceType !== "Bundle") return <Json value={planOf(body) ?? body} />;
  const entries = body.entry ?? [];
  const facts = { count: entries.length, ms: Math.round(answer.milliseconds), total: body.total ?? 0 };
  const next = body.link?.find((link) => link.relation === "next")?.url;
  return (
    <>
      <p class="card-body numbers">{say(body.total === undefined ? "console.entries" : "console.of", facts)}</p>
      <ol class="console-entries">
        {entries.map(({ resource, search: how }) =>
          resource ? (
            <li key={`${resource.resourceType}/${resource.id}`} class={how?.mode ?? ""}>
              <details>
                <summary>
                  <code>
                    {resource.resourceType}/{resource.id}
                  </code>
                </summary>
                <Json value={resource} />
              </details>
            </li>
          ) : null,
        )}
      </ol>
      {next && (
        <p class="card-body">
          <button type="button" class="button" onClick={() => void run(below(pathOf(next)))}>
            {say("console.next")}
          </button>
        </p>
      )}
    </>
  );
}

function planOf(body: unknown): string | undefined {
  const parameters = (body as { parameter?: { name: string; valueString?: string }[] }).parameter;
  return parameters?.find((each) => each.name === "plan")?.valueString;
}

function Json({ value }: { value: unknown }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <pre class="console-json" tabIndex={0}>
      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </pre>
  );
}

function Check() {
  const text = useSignal("");
  const profile = useSignal("");
  const result = useSignal<unknown>(undefined);
  const check = async () => {
    const type = text.value.trim().startsWith("<") ? "application/fhir+xml" : "application/fhir+json";
    const query = profile.value ? `?profile=${encodeURIComponent(profile.value)}` : "";
    try {
      const answer = await send(`/fhir/$validate${query}`, {
        method: "POST",
        headers: { "Content-Type": type, Accept: "application/fhir+json" },
        body: text.value,
      });
      result.value = await answer.json();
    } catch (thrown) {
      result.value = asFailure(thrown);
    }
  };
  return (
    <section class="card" aria-labelledby="check">
      <h2 id="check">{say("console.check")}</h2>
      <form
        class="card-body console-form"
        onSubmit={(event) => {
          event.preventDefault();
          void check();
        }}
      >
        <AreaField
          label={say("console.check.field")}
          rows={8}
          value={text.value}
          change={(value) => {
            text.value = value;
          }}
        />
        <TextField
          type="url"
          label={say("console.profile")}
          value={profile.value}
          change={(value) => {
            profile.value = value;
          }}
        />
        <div class="row">
          <button type="submit" class="button main" disabled={!text.value.trim()}>
            {say("console.check.run")}
          </button>
        </div>
      </form>
      <div aria-live="polite">
        <Verdict result={result.value} />
      </div>
    </section>
  );
}

function Verdict({ result }: { result: unknown }) {
  if (result === undefined) return null;
  if (!isOutcome(result)) return <FailureState failure={asFailure(result)} />;
  const bad = result.issue.filter((issue) => issue.severity === "error" || issue.severity === "fatal").length;
  return (
    <div class="card-body console-form">
      <p class={`call-out ${bad ? "urgent" : "good"}`}>
        {bad ? say("console.check.bad", { count: bad }) : say("console.check.good")}
      </p>
      <ol class="console-issues">
        {result.issue.map((issue) => (
          <li key={`${issue.expression?.[0]}${issue.details?.text}`}>
            <strong>{sayCode("severity", issue.severity)}</strong> <code>{issue.expression?.[0]}</code>{" "}
            {issue.details?.text ?? issue.diagnostics}
          </li>
        ))}
      </ol>
    </div>
  );
}
