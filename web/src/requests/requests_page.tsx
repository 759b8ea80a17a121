// Requests for consultations: what came in, and what was sent; which of them stands in the address.

import "./requests.css";
import type { Patient, ServiceRequest, Task } from "fhir/r4";
import { byUrgency } from "../day/day_page.tsx";
import { type Found, search } from "../fhir/client.ts";
import { firstText, idOf, referred } from "../fhir/reading.ts";
import { hasRole } from "../login/session.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Icon } from "../parts/icon.tsx";
import { Empty } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { Tag, toneOf, toneOfPriority } from "../parts/tag.tsx";
import { place, setQuery } from "../shell/router.ts";
import { say, sayCode, sayWhen } from "../words/say.ts";
import type { Key } from "../words/table.ts";

const SECONDS_BETWEEN_LOOKS = 20;
const VIEWS: Readonly<Record<string, string>> = {
  open: "requested,received,accepted,in-progress,on-hold",
  new: "requested",
  asked: "received,on-hold",
  going: "accepted,in-progress",
  done: "completed,rejected,cancelled",
};

export function RequestsPage() {
  const view = place.value.query.get("view") ?? "open";
  const tasks = useAsked((stop) => tasksOf(view, stop), [view], SECONDS_BETWEEN_LOOKS);
  return (
    <>
      <div class="page-head">
        <h1>{say("nav.requests")}</h1>
        {hasRole(["commune-worker", "doctor", "coordinator"]) && (
          <a class="button main" href="/requests/new">
            <Icon name="plus" />
            {say("request.new")}
          </a>
        )}
      </div>
      <div class="card">
        <fieldset class="card-body chips">
          <legend class="unseen">{say("request.views")}</legend>
          {Object.keys(VIEWS).map((each) => (
            <button
              key={each}
              type="button"
              class="chip"
              aria-pressed={view === each}
              onClick={() => setQuery({ view: each === "open" ? undefined : each })}
            >
              {say(`request.view.${each}` as Key)}
            </button>
          ))}
        </fieldset>
        <Shown of={tasks.value} bones={8}>
          {(found) => <Tasks found={found} />}
        </Shown>
      </div>
    </>
  );
}

async function tasksOf(view: string, stop: AbortSignal): Promise<Found<Task>> {
  const status = VIEWS[view] ?? VIEWS.open;
  const _include = ["Task:patient", "Task:focus", "Task:requester", "Task:owner"];
  const found = await search("Task", { status, _include, _sort: "-authored-on", _count: 60 }, stop);
  return { ...found, matches: found.matches.filter((task) => idOf(task.focus, "ServiceRequest")) };
}

function Tasks({ found }: { found: Found<Task> }) {
  if (!found.matches.length) {
    return (
      <Empty title={say("request.none")} icon="requests">
        <p>{say("request.none.why")}</p>
      </Empty>
    );
  }
  const request = (task: Task) => found.included.get(task.focus?.reference ?? "") as ServiceRequest | undefined;
  const patient = (task: Task) => found.included.get(task.for?.reference ?? "") as Patient | undefined;
  return (
    <Table
      caption={say("nav.requests")}
      rows={byUrgency(found.matches)}
      keyOf={(task) => task.id ?? ""}
      columns={[
        {
          label: say("day.question"),
          cell: (task) => (
            <a href={`/requests/${idOf(task.focus, "ServiceRequest")}`}>
              {firstText(request(task)?.reasonCode) || say("request.unnamed")}
            </a>
          ),
        },
        {
          label: say("day.patient"),
          cell: (task) => (patient(task) ? referred(task.for, found.included) : say("patient.unshared")),
        },
        { label: say("day.from"), cell: (task) => referred(task.requester, found.included) },
        { label: say("request.hub"), cell: (task) => referred(task.owner, found.included) },
        { label: say("day.sent"), cell: (task) => <time dateTime={task.authoredOn}>{sayWhen(task.authoredOn)}</time> },
        {
          label: say("day.status"),
          cell: (task) => (
            <span class="row">
              {task.priority && task.priority !== "routine" && (
                <Tag tone={toneOfPriority(task.priority)}>{sayCode("priority", task.priority)}</Tag>
              )}
              <Tag tone={toneOf(task.status)}>{sayCode("task", task.status)}</Tag>
            </span>
          ),
        },
      ]}
    />
  );
}
