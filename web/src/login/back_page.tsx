// Where the server's log-in page sends people back to: takes the code, and goes on where they wanted to be.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Bones, Empty } from "../parts/state.tsx";
import { go, place } from "../shell/router.ts";
import { say } from "../words/say.ts";
import { comeBack, logIn } from "./session.ts";

export function BackPage() {
  const reason = useSignal("");
  useEffect(() => {
    comeBack(place.value.query).then(
      (path) => go(path, { replace: true }),
      (thrown) => {
        reason.value = thrown instanceof Error ? thrown.message : String(thrown);
      },
    );
  }, []);
  return (
    <>
      <h1 class="unseen">{say("login.working")}</h1>
      {reason.value ? (
        <Empty title={say("login.failed.title")} icon="alert">
          <p>{say("login.failed", { reason: reason.value })}</p>
          <button type="button" class="button main" onClick={() => void logIn("/day")}>
            {say("login.in")}
          </button>
        </Empty>
      ) : (
        <Bones rows={3} />
      )}
    </>
  );
}
