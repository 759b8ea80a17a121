// A dialog: the browser's own, which holds the focus and gives it back.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { say } from "../words/say.ts";
import { Icon } from "./icon.tsx";

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Buttons, the main one last. */
  readonly acts?: ComponentChildren;
  readonly close: () => void;
}

/** Shown as long as it is there; `close` is called when it is left. */
export function Dialog({ title, children, acts, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={name} onClose={close}>
      <header>
        <h2 id={name}>{title}</h2>
        <button
          type="button"
          class="button quiet"
          aria-label={say("act.close")}
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="content">{children}</div>
      {acts && <footer>{acts}</footer>}
    </dialog>
  );
}
