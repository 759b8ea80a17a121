// The page of a room for who is logged in: check, then the room with images and minutes.

import "./room.css";
import { useSignal } from "@preact/signals";
import type { Encounter, ImagingStudy, Patient } from "fhir/r4";
import { type ComponentType, Fragment } from "preact";
import { getJson, read, search } from "../fhir/client.ts";
import { asFailure } from "../fhir/failure.ts";
import { idOf, nameOf } from "../fhir/reading.ts";
import { isAsked } from "../login/session.ts";
import { Shown, useAsked } from "../parts/asked.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { ChoiceField, TextField } from "../parts/field.tsx";
import { Empty } from "../parts/state.tsx";
import { notify } from "../shell/notices.tsx";
import type { PageProps } from "../shell/page.ts";
import { say, sayCode, sayDate } from "../words/say.ts";
import { Check } from "./check.tsx";
import { staffDoor } from "./door.ts";
import { Minutes } from "./minutes.tsx";
import { attempt } from "./people.tsx";
import { Seat } from "./seat.ts";
import { Visit } from "./visit.tsx";

interface About {
  readonly encounter: Encounter;
  readonly patient: Patient | undefined;
  readonly studies: readonly ImagingStudy[];
}

export function RoomPage({ parts }: PageProps) {
  const session = parts.id ?? "";
  const about = useAsked((stop) => aboutOf(session, stop), [session]);
  return <Shown of={about.value}>{(found) => <Opened key={session} session={session} about={found} />}</Shown>;
}

async function aboutOf(session: string, stop: AbortSignal): Promise<About> {
  const encounter = await read("Encounter", session, stop);
  const id = idOf(encounter.subject, "Patient");
  if (!id) return { encounter, patient: undefined, studies: [] };
  const [patient, studies] = await Promise.all([
    getJson<Patient>(`Patient/${id}`, stop).catch(() => undefined),
    search("ImagingStudy", { patient: id, _sort: "-started", _count: 20 }, stop).catch(() => ({ matches: [] })),
  ]);
  return { encounter, patient, studies: studies.matches };
}

function Opened({ session, about }: { session: string; about: About }) {
  const seat = useSignal<Seat | undefined>(undefined);
  const images = useSignal<ComponentType<{ seat: Seat }> | undefined>(undefined);
  const isChoosing = useSignal(false);
  const name = useSignal("");
  const role = useSignal("host");
  const patient = about.patient && nameOf(about.patient.name);
  const title = patient ? say("room.title.of", { name: patient }) : say("room.title");
  if (["finished", "cancelled"].includes(about.encounter.status) && !seat.value) {
    return (
      <section class="out">
        <h1 class="unseen">{title}</h1>
        <Empty title={say("out.ended")} icon="check">
          <Home request={idOf(about.encounter.basedOn?.[0], "ServiceRequest")} />
        </Empty>
      </section>
    );
  }
  const enter = async (stream: MediaStream) => {
    const made = new Seat(staffDoor(session), stream);
    try {
      await made.join(isAsked ? {} : { role: role.value, display: name.value || say("room.somebody") });
      seat.value = made;
      Object.assign(globalThis, { nhipcauSeat: made });
      const loaded = await import("./images_pane.tsx");
      images.value = loaded.ImagesPane;
    } catch (thrown) {
      made.close();
      const failure = asFailure(thrown);
      notify(`${failure.title}. ${failure.faults[0]?.text ?? failure.remedy}`, "urgent");
      throw thrown;
    }
  };
  const open = seat.value;
  if (!open) {
    return (
      <Check title={title} lead={<p class="soft">{say("check.lead")}</p>} button={say("room.enter")} enter={enter}>
        {!isAsked && (
          <Fragment>
            <TextField
              label={say("guest.name")}
              value={name.value}
              autocomplete="name"
              change={(value) => {
                name.value = value;
              }}
            />
            <ChoiceField
              label={say("room.role")}
              value={role.value}
              change={(value) => {
                role.value = value;
              }}
              options={["host", "chair", "presenter", "expert", "secretary"].map(
                (each) => [each, sayCode("seat", each)] as const,
              )}
            />
          </Fragment>
        )}
      </Check>
    );
  }
  const show = async (study: string) => {
    if (open.review.value?.presenter !== open.me) await open.gesture({ type: "present" });
    await open.gesture(study ? { type: "open", study } : { type: "close" });
    isChoosing.value = false;
  };
  return (
    <>
      <Visit
        seat={open}
        title={title}
        images={images.value}
        chooseImages={() => {
          isChoosing.value = true;
        }}
        minutes={<Minutes session={session} />}
        again={() => {
          seat.value = undefined;
        }}
        home={<Home request={idOf(about.encounter.basedOn?.[0], "ServiceRequest")} />}
      />
      {isChoosing.value && (
        <Dialog
          title={say("room.images.choose")}
          close={() => {
            isChoosing.value = false;
          }}
        >
          {about.studies.length === 0 && <p>{say("room.images.none")}</p>}
          <ul class="plain">
            {about.studies.map((each) => (
              <li key={each.id}>
                <button type="button" class="button wide" onClick={() => attempt(show(uidOf(each)))}>
                  {[sayDate(each.started), each.modality?.map((one) => one.code).join(", "), each.description]
                    .filter(Boolean)
                    .join(" · ")}
                </button>
              </li>
            ))}
          </ul>
          {open.review.value?.study && (
            <button type="button" class="button" onClick={() => attempt(show(""))}>
              {say("room.images.close")}
            </button>
          )}
        </Dialog>
      )}
    </>
  );
}

function uidOf(study: ImagingStudy): string {
  return study.identifier?.find((each) => each.system === "urn:dicom:uid")?.value?.replace("urn:oid:", "") ?? "";
}

function Home({ request }: { request: string }) {
  return (
    <>
      {request && (
        <a class="button" href={`/requests/${request}`}>
          {say("out.request")}
        </a>
      )}
      <a class="button" href="/day">
        {say("nav.day")}
      </a>
    </>
  );
}
