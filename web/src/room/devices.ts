// The camera and the microphone: asked for, measured, and what to do where there is none.

import { signal } from "@preact/signals";

export type Trouble = "refused" | "none" | "busy" | "insecure";

export interface Taken {
  readonly stream: MediaStream;
  /** Why there is no sound or no picture from here, by kind. */
  readonly troubles: Readonly<Partial<Record<"audio" | "video", Trouble>>>;
}

const KEPT = "nhipcau.devices";
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 24, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export type Chosen = Readonly<Partial<Record<"audio" | "video", string>>>;

/** The devices that were chosen, on this computer. */
export const chosen = signal<Chosen>(keptDevices());

function keptDevices(): Chosen {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Chosen;
  } catch {
    return {};
  }
}

export function choose(kind: "audio" | "video", device: string): void {
  chosen.value = { ...chosen.value, [kind]: device };
  localStorage.setItem(KEPT, JSON.stringify(chosen.value));
}

/** Takes what there is: one that fails leaves the other. */
export async function take(kinds: readonly ("audio" | "video")[] = ["audio", "video"]): Promise<Taken> {
  const stream = new MediaStream();
  const troubles: Partial<Record<"audio" | "video", Trouble>> = {};
  if (!navigator.mediaDevices) {
    return { stream, troubles: Object.fromEntries(kinds.map((kind) => [kind, "insecure" as const])) };
  }
  if (kinds.length > 1) {
    // Asked for together, the browser asks the person once.
    const both = await navigator.mediaDevices.getUserMedia(wishes(kinds)).catch(() => undefined);
    if (both) return { stream: both, troubles };
  }
  for (const kind of kinds) {
    try {
      const taken = await navigator.mediaDevices.getUserMedia(wishes([kind]));
      for (const track of taken.getTracks()) stream.addTrack(track);
    } catch (thrown) {
      troubles[kind] = troubleOf(thrown);
    }
  }
  return { stream, troubles };
}

function wishes(kinds: readonly ("audio" | "video")[]): MediaStreamConstraints {
  const device = (kind: "audio" | "video") => (chosen.value[kind] ? { deviceId: { ideal: chosen.value[kind] } } : {});
  return {
    audio: kinds.includes("audio") && { ...SOUND, ...device("audio") },
    video: kinds.includes("video") && { ...PICTURE, ...device("video") },
  };
}

export function troubleOf(thrown: unknown): Trouble {
  const name = thrown instanceof DOMException ? thrown.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  return name === "NotFoundError" || name === "OverconstrainedError" ? "none" : "busy";
}

/** Tells how loud a stream is, from 0 to 1, some times a second; returns how to stop. */
export function measured(stream: MediaStream, tell: (level: number) => void): () => void {
  if (!stream.getAudioTracks().length) return () => {};
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
    tell(Math.min(1, Math.sqrt(power) * 4));
  }, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

/** The middle of the times that some small requests take, in milliseconds; undefined where none came back. */
export async function roundTrip(times = 4): Promise<number | undefined> {
  const found: number[] = [];
  for (let at = 0; at < times; at++) {
    const begun = performance.now();
    const answer = await fetch("/health", { cache: "no-store" }).catch(() => undefined);
    if (answer) found.push(performance.now() - begun);
  }
  return found.toSorted((one, other) => one - other)[Math.floor(found.length / 2)];
}

export function stop(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
