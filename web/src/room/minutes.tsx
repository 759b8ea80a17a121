// The minutes beside the room: what has been drafted about this session so far.

import type { Composition, CompositionSection } from "fhir/r4";
import { search } from "../fhir/client.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Empty } from "../parts/state.tsx";
import { Tag } from "../parts/tag.tsx";
import { say } from "../words/say.ts";

const SECONDS_BETWEEN_LOOKS = 15;

export function Minutes({ session }: { session: string }) {
  const minutes = useAsked(
    async (stop) =>
      (await search("Composition", { encounter: `Encounter/${session}`, _sort: "-_lastUpdated", _count: 1 }, stop))
        .matches,
    [session],
    SECONDS_BETWEEN_LOOKS,
  );
  return (
    <Shown of={minutes.value} none={<None />}>
      {([found]) => (found ? <Text minutes={found} /> : <None />)}
    </Shown>
  );
}

function None() {
  return (
    <Empty title={say("minutes.none")} icon="report">
      <p>{say("minutes.none.why")}</p>
    </Empty>
  );
}

/** The text of minutes, section by section. */
export function Text({ minutes }: { minutes: Composition }) {
  return (
    <article class="minutes-text">
      <p class="row">
        <strong>{minutes.title}</strong>
        <Tag tone={minutes.status === "final" ? "good" : "info"}>
          {say(minutes.status === "final" ? "minutes.final" : "minutes.draft")}
        </Tag>
      </p>
      {(minutes.section ?? []).map((each, at) => (
        <Section key={each.title ?? at} section={each} />
      ))}
    </article>
  );
}

function Section({ section }: { section: CompositionSection }) {
  return (
    <section>
      <h3>{section.title}</h3>
      {paragraphs(section.text?.div ?? "").map((each) => (
        <p key={each}>{each}</p>
      ))}
      {(section.section ?? []).map((each, at) => (
        <Section key={each.title ?? at} section={each} />
      ))}
    </section>
  );
}

/** The words of a narrative, without its markup; cells of a row stay apart. */
export function paragraphs(div: string): string[] {
  const apart = div
    .replace(/<\/(?:td|th|dt)>\s*(?=<(?:td|th|dd))/g, " · ")
    .replace(/<(?:br|\/p|\/li|\/tr|\/dd|\/div)[^>]*>/g, "\n$&");
  const parsed = new DOMParser().parseFromString(apart, "text/html");
  return (parsed.body.textContent ?? "")
    .split("\n")
    .map((each) => each.trim())
    .filter(Boolean);
}
