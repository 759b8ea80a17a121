// Sections of minutes: which of them people write, their words, and a Composition with other words.

import type { Composition, CompositionSection } from "fhir/r4";
import { paragraphs } from "../room/minutes.tsx";

/** The sections that people write; the others are drafted from the session and the record. */
export const WRITTEN: readonly string[] = [
  "summary",
  "diagnosis",
  "discussion",
  "conclusions",
  "recommendations",
  "plan",
];

export function codeOf(section: CompositionSection): string {
  return section.code?.coding?.[0]?.code ?? "";
}

/** What a draft says where nobody has written anything (docs/reference/telesession.md). */
const UNWRITTEN = "(chưa ghi)";

/** The words of a section; empty where nobody has written any. */
export function textOfSection(section: CompositionSection): string {
  const words = section.emptyReason ? "" : paragraphs(section.text?.div ?? "").join("\n");
  return words === UNWRITTEN ? "" : words;
}

/** A Composition with words in the sections of some paths, such as `7.0`. */
export function withTexts(minutes: Composition, texts: Readonly<Record<string, string>>): Composition {
  const changed = (section: CompositionSection, path: string): CompositionSection => {
    const inner = section.section?.map((each, at) => changed(each, `${path}.${at}`));
    const text = texts[path];
    const { emptyReason: _empty, ...rest } = section;
    const own = text?.trim() ? { ...rest, text: { status: "additional" as const, div: divOf(text) } } : section;
    return inner ? { ...own, section: inner } : own;
  };
  return { ...minutes, section: (minutes.section ?? []).map((each, at) => changed(each, `${at}`)) };
}

/** Lines as a narrative (FHIR R4, 2.4): nothing in them is markup. */
export function divOf(text: string): string {
  const escaped = (line: string) => line.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const lines = text.split("\n").map((line) => line.trim());
  return `<div xmlns="http://www.w3.org/1999/xhtml">${lines
    .filter(Boolean)
    .map((line) => `<p>${escaped(line)}</p>`)
    .join("")}</div>`;
}
