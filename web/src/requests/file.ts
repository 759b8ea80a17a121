// A file of the server, opened with the token: a link of the browser's own would have none.

import { send } from "../fhir/client.ts";
import { asFailure } from "../fhir/failure.ts";
import { notify } from "../shell/notices.tsx";

const MILLISECONDS_TO_OPEN = 60_000;

/** Opens a file in a tab of its own; tells what to do where it cannot. */
export async function openBlob(url: string): Promise<void> {
  // Opened at the click, so that the browser does not take it for an advertisement.
  const tab = globalThis.open("", "_blank");
  try {
    const answer = await send(url, { headers: { Accept: "application/pdf, image/*, text/plain, */*" } });
    const address = URL.createObjectURL(await answer.blob());
    if (tab) tab.location.replace(address);
    setTimeout(() => URL.revokeObjectURL(address), MILLISECONDS_TO_OPEN);
  } catch (thrown) {
    tab?.close();
    const failure = asFailure(thrown);
    notify(`${failure.title}. ${failure.remedy}`, "warn");
  }
}
