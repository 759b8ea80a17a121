// A page of the app: a row of the table in pages.ts.

import type { ComponentType } from "preact";
import type { Role } from "../login/session.ts";
import type { IconName } from "../parts/icon.tsx";
import type { Key } from "../words/table.ts";

export interface PageProps {
  /** The parts of the path that its pattern names. */
  readonly parts: Readonly<Record<string, string>>;
}

export interface Page {
  /** A pattern such as `/patients/:id`; its first part must be in sections.json, by which the server knows it. */
  readonly path: string;
  readonly title: Key;
  /** Its place in the navigation, where it has one; `key` goes there from the keyboard, after `g`. */
  readonly nav?: { readonly icon: IconName; readonly key: string };
  /** Who uses it; everybody who is logged in where this is left out. */
  readonly roles?: readonly Role[];
  /** Whether it is shown to who is not logged in. */
  readonly open?: boolean;
  /** `wide` fills the window and scrolls by itself; `alone` has no frame at all. */
  readonly frame?: "wide" | "alone";
  /** The theme that it wants, whatever is chosen. */
  readonly theme?: "dark";
  /** Loads its component, when it is first opened. */
  readonly load: () => Promise<ComponentType<PageProps>>;
}
