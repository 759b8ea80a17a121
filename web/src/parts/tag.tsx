// A tag: a colour with a word, and an icon where it is urgent.

import type { ComponentChildren } from "preact";
import { Icon } from "./icon.tsx";

export type Tone = "plain" | "urgent" | "warn" | "good" | "info" | "accent";

export function Tag({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return (
    <span class={`tag ${tone}`}>
      {tone === "urgent" && <Icon name="urgent" />}
      {children}
    </span>
  );
}

const STATUS_TONES: Readonly<Record<string, Tone>> = {
  requested: "info",
  received: "info",
  accepted: "accent",
  "in-progress": "accent",
  "on-hold": "warn",
  completed: "good",
  finished: "good",
  fulfilled: "good",
  final: "good",
  booked: "accent",
  active: "accent",
  proposed: "info",
  pending: "warn",
  "checked-in": "warn",
  arrived: "warn",
  rejected: "urgent",
  failed: "urgent",
  cancelled: "plain",
};

/** The tone of a status, whatever it is the status of. */
export function toneOf(status: string | undefined): Tone {
  return STATUS_TONES[status ?? ""] ?? "plain";
}

export function toneOfPriority(priority: string | undefined): Tone {
  if (priority === "stat" || priority === "asap") return "urgent";
  return priority === "urgent" ? "warn" : "plain";
}
