// What the server tells of a room (docs/reference/telesession.md).

export type Right = "admit" | "moderate" | "end" | "record" | "present" | "invite";
export type Presence = "waiting" | "admitted" | "in-session" | "dropped" | "left";
export type Mode = "auto" | "on" | "off";

export interface Somebody {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly state: Presence;
  readonly isStaff: boolean;
  /** Names of what is sent: `camera`, `screen`. */
  readonly publishes: readonly string[];
  readonly isMuted: boolean;
  readonly mode: Mode;
  /** Why there are no pictures for this person. */
  readonly soundOnly: string | null;
  readonly device: string | null;
}

export interface Me extends Somebody {
  readonly rights: readonly Right[];
  readonly reason: string | null;
  readonly position: number | null;
}

export interface Mark {
  readonly id: string;
  readonly by: string;
  readonly name: string;
  readonly instance: string;
  readonly frame: number;
  readonly shape: string;
  readonly points: readonly (readonly [number, number])[];
  readonly text: string;
}

export interface Review {
  readonly version: number;
  readonly presenter: string | null;
  readonly study: string | null;
  readonly viewport: Readonly<Record<string, string | number | boolean>> | null;
  readonly window: { readonly center: number; readonly width: number } | null;
  readonly annotations: readonly Mark[];
  readonly hidden?: boolean;
}

/** Where somebody points: on a frame, in the patient's own millimetres of that plane. */
export interface Cursor {
  readonly by: string;
  readonly name: string;
  readonly instance: string;
  readonly x: number;
  readonly y: number;
}

export interface Room {
  readonly id: string;
  readonly state: "open" | "waiting" | "in-progress" | "on-hold" | "ended";
  readonly me: Me | null;
  readonly participants: readonly Somebody[];
  readonly queue: {
    readonly length: number;
    readonly position: number | null;
    readonly waiting?: readonly (Somebody & { readonly position: number })[];
  };
  readonly limits: { readonly minutes: number; readonly until: number | null };
  readonly started: number | null;
  readonly ended: number | null;
  readonly endReason: string | null;
  readonly hostPresent: boolean;
  readonly recording: unknown;
  readonly iceServers?: RTCIceServer[];
  readonly review?: Review;
}

export interface Message {
  readonly id: string;
  readonly sent: string;
  readonly name: string | null;
  readonly text: string | null;
  /** A reference to the DocumentReference of a file. */
  readonly document: string | null;
  readonly title: string | null;
}

/** Whether somebody may do something in a room. */
export function may(room: Room | undefined, right: Right): boolean {
  return room?.me?.rights.includes(right) ?? false;
}

/** Whether somebody is let in: what was admitted is in session as soon as it reads events. */
export function isInside(room: Room | undefined): boolean {
  const state = room?.me?.state;
  return state === "admitted" || state === "in-session";
}
