// The minutes of a consultation: drafted, a conclusion for each question, signed by chair and secretary, printed.

import { useSignal } from "@preact/signals";
import type { Composition, CompositionSection } from "fhir/r4";
import { operation, update } from "../fhir/client.ts";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { nameOf } from "../fhir/reading.ts";
import { person } from "../login/session.ts";
import { useAsked } from "../parts/asked.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { AreaField, ChoiceField } from "../parts/field.tsx";
import { Icon } from "../parts/icon.tsx";
import { Tag } from "../parts/tag.tsx";
import { paragraphs } from "../room/minutes.tsx";
import { notify } from "../shell/notices.tsx";
import { say, sayInstant } from "../words/say.ts";
import { type Consultation, practitioners } from "./consultation.ts";
import { openBlob } from "./file.ts";
import { codeOf, textOfSection, WRITTEN, withTexts } from "./section.ts";
import { Told } from "./told.tsx";

export function MinutesCard({ of, again }: { of: Consultation; again: () => void }) {
  const { minutes } = of;
  return (
    <section class="card" aria-labelledby="minutes">
      <h2 id="minutes">
        {say("room.minutes")}
        {minutes && (
          <Tag tone={minutes.status === "final" ? "good" : "info"}>
            {say(minutes.status === "final" ? "minutes.final" : "minutes.draft")}
          </Tag>
        )}
      </h2>
      <div class="card-body request-text">
        {minutes ? <Opened key={minutes.id} minutes={minutes} again={again} /> : <Begin of={of} again={again} />}
      </div>
    </section>
  );
}

function Begin({ of, again }: { of: Consultation; again: () => void }) {
  const chair = useSignal(person.value?.fhirUser ?? "");
  const secretary = useSignal("");
  const failure = useSignal<Failure | undefined>(undefined);
  const people = useAsked((stop) => practitioners(stop), []);
  const options = [
    ["", say("minutes.as.booked")],
    ...(people.value.value ?? []).map((each) => [`Practitioner/${each.id}`, nameOf(each.name)] as const),
  ] as const;
  const begin = async () => {
    failure.value = undefined;
    try {
      await operation(`ServiceRequest/${of.request.id}/$tele-draft-minutes`, [
        ...(chair.value ? [{ name: "chair", valueReference: { reference: chair.value } }] : []),
        ...(secretary.value ? [{ name: "secretary", valueReference: { reference: secretary.value } }] : []),
      ]);
      again();
    } catch (thrown) {
      failure.value = asFailure(thrown);
    }
  };
  return (
    <>
      <p>{say("minutes.begin.why")}</p>
      {failure.value && <Told failure={failure.value} />}
      <div class="filters">
        <ChoiceField
          label={say("seat.chair")}
          value={chair.value}
          change={(value) => {
            chair.value = value;
          }}
          options={options}
        />
        <ChoiceField
          label={say("seat.secretary")}
          value={secretary.value}
          change={(value) => {
            secretary.value = value;
          }}
          options={options}
        />
      </div>
      <div class="row">
        <button type="button" class="button main" onClick={() => void begin()}>
          <Icon name="report" />
          {say("minutes.begin")}
        </button>
      </div>
    </>
  );
}

/** The draft is kept in the tab until it is stored, so that nothing typed is lost. */
function Opened({ minutes, again }: { minutes: Composition; again: () => void }) {
  const kept = `nhipcau.minutes.${minutes.id}`;
  const texts = useSignal<Readonly<Record<string, string>>>(JSON.parse(sessionStorage.getItem(kept) ?? "{}"));
  const failure = useSignal<Failure | undefined>(undefined);
  const isAsking = useSignal(false);
  const isBusy = useSignal(false);
  const isFinal = minutes.status === "final" || minutes.status === "amended";
  const hasSigned = minutes.attester?.some((each) => each.time);
  const mine = minutes.attester?.find((each) => each.party?.reference === person.value?.fhirUser);
  const write = (key: string, text: string) => {
    texts.value = { ...texts.value, [key]: text };
    sessionStorage.setItem(kept, JSON.stringify(texts.value));
  };
  const attempt = async (deed: () => Promise<unknown>, done: string) => {
    isBusy.value = true;
    failure.value = undefined;
    try {
      await deed();
      notify(done);
      again();
    } catch (thrown) {
      failure.value = asFailure(thrown);
    } finally {
      isBusy.value = false;
      isAsking.value = false;
    }
  };
  const store = async () => {
    await update(withTexts(minutes, texts.value));
    sessionStorage.removeItem(kept);
    texts.value = {};
  };
  const sign = () =>
    operation(`Composition/${minutes.id}/$tele-sign`, [
      { name: "version", valueString: minutes.meta?.versionId ?? "" },
    ]);
  const isChanged = Object.keys(texts.value).length > 0;
  return (
    <>
      {failure.value && <Told failure={failure.value} />}
      {(minutes.section ?? []).map((each, at) => (
        <Section
          key={codeOf(each) || at}
          section={each}
          path={`${at}`}
          texts={texts.value}
          write={write}
          isOpen={!isFinal && !hasSigned}
        />
      ))}
      <ul class="signers">
        {(minutes.attester ?? []).map((each) => (
          <li key={each.mode}>
            <Icon name={each.time ? "check" : "sign"} />
            <span>
              {say(each.mode === "legal" ? "seat.chair" : "seat.secretary")}: {each.party?.display ?? ""}
            </span>
            <span class="soft">
              {each.time ? say("minutes.signed", { time: sayInstant(each.time) }) : say("minutes.unsigned")}
            </span>
          </li>
        ))}
      </ul>
      <div class="row">
        {!isFinal && !hasSigned && (
          <button
            type="button"
            class="button"
            disabled={isBusy.value || !isChanged}
            onClick={() => void attempt(store, say("minutes.stored"))}
          >
            {say("minutes.store")}
          </button>
        )}
        {mine && !mine.time && (
          <button
            type="button"
            class="button main"
            disabled={isBusy.value || isChanged}
            onClick={() => {
              isAsking.value = true;
            }}
          >
            <Icon name="sign" />
            {say("minutes.sign")}
          </button>
        )}
        <button type="button" class="button" onClick={() => void openBlob(`/telesession/minutes/${minutes.id}/pdf`)}>
          <Icon name="report" />
          {say("minutes.pdf")}
        </button>
      </div>
      {isChanged && <p class="soft small">{say("minutes.unstored")}</p>}
      {isAsking.value && (
        <Dialog
          title={say("minutes.sign")}
          close={() => {
            isAsking.value = false;
          }}
          acts={
            <button
              type="button"
              class="button main"
              disabled={isBusy.value}
              onClick={() => void attempt(sign, say("minutes.sign.done"))}
            >
              <Icon name="sign" />
              {say("minutes.sign")}
            </button>
          }
        >
          <p>{say("minutes.sign.why")}</p>
        </Dialog>
      )}
    </>
  );
}

interface SectionProps {
  readonly section: CompositionSection;
  readonly path: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly write: (path: string, text: string) => void;
  readonly isOpen: boolean;
  readonly isConclusion?: boolean;
}

function Section({ section, path, texts, write, isOpen, isConclusion = false }: SectionProps) {
  const code = codeOf(section);
  const title = section.title ?? code;
  const inner = section.section ?? [];
  if (isOpen && !inner.length && (isConclusion || WRITTEN.includes(code))) {
    return (
      <AreaField
        label={title}
        rows={isConclusion ? 3 : 2}
        value={texts[path] ?? textOfSection(section)}
        change={(text) => write(path, text)}
      />
    );
  }
  return (
    <div class="minutes-section">
      <h3>{title}</h3>
      {!inner.length && paragraphs(section.text?.div ?? "").map((each, at) => <p key={`${at}${each}`}>{each}</p>)}
      {inner.map((each, at) => (
        <Section
          key={each.title ?? at}
          section={each}
          path={`${path}.${at}`}
          texts={texts}
          write={write}
          isOpen={isOpen}
          isConclusion={code === "conclusions"}
        />
      ))}
    </div>
  );
}
