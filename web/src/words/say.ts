// The language in use, and what is said in it: words, dates, times, numbers.

import { computed, signal } from "@preact/signals";
import { type Key, WORDS } from "./table.ts";
import type { Language } from "./word.ts";

const KEPT = "nhipcau.language";
const LOCALES: Record<Language, string> = { vi: "vi-VN", en: "en-GB" };

export const language = signal<Language>(chosenBefore());

function chosenBefore(): Language {
  if (typeof localStorage === "undefined") return "vi";
  const kept = localStorage.getItem(KEPT);
  return kept === "en" || kept === "vi" ? kept : "vi";
}

export function speak(chosen: Language): void {
  language.value = chosen;
  localStorage.setItem(KEPT, chosen);
  document.documentElement.lang = chosen;
}

/** The word of a key, with what stands in braces filled in. */
export function say(key: Key, parts: Readonly<Record<string, string | number>> = {}): string {
  const text: string = WORDS[key][language.value];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(parts[name] ?? whole));
}

/** Whether a text is a key of the table: for codes that come from outside. */
export function isKey(text: string): text is Key {
  return Object.hasOwn(WORDS, text);
}

/** The word for a code, such as `status.draft`; the code itself where there is no word. */
export function sayCode(prefix: string, code: string | undefined): string {
  const key = `${prefix}.${code ?? ""}`;
  return isKey(key) ? say(key) : (code ?? "");
}

const formats = computed(() => {
  const locale = LOCALES[language.value];
  return {
    date: new Intl.DateTimeFormat(locale, { day: "2-digit", month: "2-digit", year: "numeric" }),
    time: new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    weekday: new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", year: "numeric" }),
    number: new Intl.NumberFormat(locale, { maximumFractionDigits: 2 }),
  };
});

/** A FHIR date, dateTime or instant as it is read here: `23/11/2026`; a part of a date stays a part. */
export function sayDate(value: string | undefined): string {
  if (!value) return "";
  const [year, month, day] = value.slice(0, 10).split("-");
  if (value.length <= 10) return [day, month, year].filter(Boolean).join("/");
  const at = new Date(value);
  return Number.isNaN(at.valueOf()) ? value : formats.value.date.format(at);
}

/** The time of an instant, `09:30`; empty where it has none. */
export function sayTime(value: string | undefined): string {
  if (!value || value.length <= 10) return "";
  const at = new Date(value);
  return Number.isNaN(at.valueOf()) ? "" : formats.value.time.format(at);
}

/** Date and time of an instant. */
export function sayInstant(value: string | undefined): string {
  return [sayTime(value), sayDate(value)].filter(Boolean).join(" ");
}

/** When something was, as briefly as it can be said: today's without the date. */
export function sayWhen(value: string | undefined, now: Date = new Date()): string {
  const isToday = value !== undefined && new Date(value).toDateString() === now.toDateString();
  return isToday && value.length > 10 ? sayTime(value) : sayInstant(value) || sayDate(value);
}

/** A day in words. */
export function sayDay(day: Date): string {
  const text = formats.value.weekday.format(day);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function sayNumber(value: number): string {
  return formats.value.number.format(value);
}

/** The years somebody has lived. */
export function ageOf(birthDate: string | undefined, now: Date = new Date()): number | undefined {
  const [year, month, day] = (birthDate ?? "").split("-").map(Number);
  if (!year) return undefined;
  const hadBirthday =
    now.getMonth() + 1 > (month ?? 1) || (now.getMonth() + 1 === (month ?? 1) && now.getDate() >= (day ?? 1));
  return now.getFullYear() - year - (hadBirthday ? 0 : 1);
}
