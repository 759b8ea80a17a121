// How the app is shown: dark room or light, near or from afar. A page may want the dark room by itself.

import { effect, signal } from "@preact/signals";

const KEPT = "nhipcau.display";

interface Display {
  readonly isDark: boolean;
  readonly isFar: boolean;
}

export const display = signal<Display>({ isDark: false, isFar: false, ...kept() });
/** What the open page wants, whatever is chosen. */
export const wantedTheme = signal<"dark" | undefined>(undefined);

function kept(): Partial<Display> {
  return JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Partial<Display>;
}

export function showAs(changed: Partial<Display>): void {
  display.value = { ...display.value, ...changed };
  localStorage.setItem(KEPT, JSON.stringify(display.value));
}

export function applyDisplay(): void {
  effect(() => {
    const { isDark, isFar } = display.value;
    document.documentElement.dataset.theme = isDark || wantedTheme.value === "dark" ? "dark" : "light";
    document.documentElement.dataset.size = isFar ? "far" : "near";
  });
}
