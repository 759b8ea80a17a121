// The line to the server: whether it holds, and the looking for it while it does not.

import { signal } from "@preact/signals";

const MILLISECONDS_BETWEEN_LOOKS = 3_000;

/** Whether requests reach the server. */
export const isConnected = signal(true);
/** Counts how often the line came back: what shows data asks for it again. */
export const returns = signal(0);

let looking: ReturnType<typeof setTimeout> | undefined;

export function lineIsLost(): void {
  if (!isConnected.value) return;
  isConnected.value = false;
  looking = setTimeout(look, MILLISECONDS_BETWEEN_LOOKS);
}

export function lineIsBack(): void {
  if (isConnected.value) return;
  clearTimeout(looking);
  isConnected.value = true;
  returns.value += 1;
}

async function look(): Promise<void> {
  try {
    await fetch("/health", { cache: "no-store" });
    lineIsBack();
  } catch {
    looking = setTimeout(look, MILLISECONDS_BETWEEN_LOOKS);
  }
}

/** Heeds what the browser knows of the network. */
export function watchLine(): void {
  addEventListener("offline", lineIsLost);
  addEventListener("online", () => void look());
}
