// The states of a page that has nothing to show yet: loading, empty, failed.

import type { ComponentChildren } from "preact";
import type { Failure } from "../fhir/failure.ts";
import { say } from "../words/say.ts";
import { Icon, type IconName } from "./icon.tsx";

/** The bones of what is coming. */
export function Bones({ rows }: { rows: number }) {
  return (
    <div class="bones" role="status" aria-label={say("state.loading")}>
      {Array.from({ length: rows }, (_, at) => (
        <div key={at} class="bone" />
      ))}
    </div>
  );
}

/** Nothing there: what it is, why, and what to do. */
export function Empty({
  title,
  children,
  icon = "empty",
}: {
  title: string;
  children?: ComponentChildren;
  icon?: IconName;
}) {
  return (
    <div class="state">
      <Icon name={icon} />
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** What failed, and what to do about it. */
export function FailureState({ failure, again }: { failure: Failure; again?: () => void }) {
  return (
    <div class="state failed" role="alert">
      <Icon name={failure.kind === "offline" ? "offline" : "alert"} />
      <strong>{failure.title}</strong>
      <p>{failure.remedy}</p>
      <Faults failure={failure} />
      {again && (
        <button type="button" class="button" onClick={again}>
          {say("act.again")}
        </button>
      )}
    </div>
  );
}

/** What the server says is wrong, one by one. */
export function Faults({ failure }: { failure: Failure }) {
  if (!failure.faults.length || failure.kind === "missing" || failure.kind === "forbidden") return null;
  return (
    <ul class="faults">
      {failure.faults.map((fault) => (
        <li key={fault.where + fault.text}>
          {fault.where && <code>{fault.where}</code>} {fault.text}
        </li>
      ))}
    </ul>
  );
}
