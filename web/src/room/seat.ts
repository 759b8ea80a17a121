// A person's seat in a room: joins, waits, is let in, sends and sees, comes back after a cut, leaves.

import { computed, signal } from "@preact/signals";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { stop, take } from "./devices.ts";
import { type Door, json } from "./door.ts";
import { type Heard, listen } from "./event_stream.ts";
import { Gauge } from "./figures.ts";
import { Publisher, seated, Watcher } from "./media.ts";
import { type Cursor, isInside, type Message, type Mode, type Review, type Room } from "./told.ts";

const SOUNDS = 3;
const PICTURES = 9;
const MILLISECONDS_BEFORE_AGAIN = 1_000;
const MILLISECONDS_BETWEEN_FIGURES = 5_000;

export interface Wish {
  readonly role?: string;
  readonly display?: string;
}

export class Seat {
  readonly room = signal<Room | undefined>(undefined);
  /** Why somebody is out: a reason of the server, or `left`, `ended`, `refused`. */
  readonly out = signal("");
  readonly failure = signal<Failure | undefined>(undefined);
  readonly isConnected = signal(true);
  readonly messages = signal<readonly Message[]>([]);
  readonly unread = signal(0);
  readonly speaking = signal<readonly string[]>([]);
  readonly review = signal<Review | undefined>(undefined);
  readonly cursors = signal<ReadonlyMap<string, Cursor>>(new Map());
  readonly isEnding = signal(false);
  /** What comes from each source: a participant's id, or that with `/screen`. */
  readonly pictures = signal<ReadonlyMap<string, MediaStream>>(new Map());
  readonly isMuted = signal(false);
  readonly isCameraOn = signal(false);
  readonly screen = signal<MediaStream | undefined>(undefined);
  readonly isInside = computed(() => isInside(this.room.value));

  private readonly ears: (() => void)[] = [];
  private readonly sound = new Audio();
  /** What is heard of the others. */
  readonly heard = new MediaStream();
  private publisher: Publisher | undefined;
  private screenPublisher: Publisher | undefined;
  private watcher: Watcher | undefined;
  private seats: ReadonlyMap<string, string> = new Map();
  private readonly gauge = new Gauge();
  private connecting = false;
  private isOver = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly door: Door,
    readonly stream: MediaStream,
  ) {
    this.isCameraOn.value = stream.getVideoTracks().length > 0;
    this.isMuted.value = stream.getAudioTracks().length === 0;
    this.sound.srcObject = this.heard;
    this.sound.autoplay = true;
  }

  get me(): string {
    return this.room.value?.me?.id ?? "";
  }

  // Coming and going

  /** Joins, or comes back to the place that is kept; throws a Failure. */
  async join(wish: Wish): Promise<void> {
    const device = /Mobi|Android/.test(navigator.userAgent) ? "mobile" : "desktop";
    const answer = await this.door.send("/participants", { method: "POST", ...json({ ...wish, device }) });
    this.door.iAm(((await answer.json()) as { id: string }).id);
    await this.look();
    this.ears.push(
      listen(this.door, {
        heard: (heard) => this.heed(heard),
        line: (isThere) => {
          this.isConnected.value = isThere;
        },
        refused: (failure) => this.refused(failure),
      }),
    );
    const timer = setInterval(() => void this.tellFigures(), MILLISECONDS_BETWEEN_FIGURES);
    this.ears.push(() => clearInterval(timer));
  }

  private async look(): Promise<void> {
    const answer = await this.door.send("");
    this.take((await answer.json()) as Room);
  }

  private take(room: Room): void {
    const wasInside = this.isInside.value;
    this.room.value = { ...this.room.peek(), ...room };
    if (room.review) this.review.value = room.review;
    const why = room.state === "ended" ? "ended" : room.me?.state === "left" ? (room.me.reason ?? "left") : "";
    if (why) {
      this.over(why);
      return;
    }
    if (room.me?.isMuted && !this.isMuted.value) this.hush(true);
    if (!this.isInside.value) return;
    if (!wasInside) void this.catchUp();
    void this.connect();
    void this.assign();
  }

  private heed({ event, data }: Heard): void {
    const told = data as never;
    const acts: Readonly<Record<string, () => void>> = {
      snapshot: () => this.take(told as Room),
      roster: () => this.take(told as Room),
      recording: () => this.take(told as Room),
      loudest: () => {
        this.speaking.value = (told as { sources: string[] }).sources;
      },
      review: () => {
        this.review.value = told as Review;
      },
      cursor: () => {
        const cursor = told as Cursor;
        this.cursors.value = new Map([...this.cursors.value, [cursor.by, cursor]]);
      },
      chat: () => this.said(told as Message),
      file: () => this.said(told as Message),
      limit: () => {
        this.isEnding.value = true;
        void this.look();
      },
      reconnect: () => this.reconnect(),
      ended: () => {
        const { reason } = told as { reason: string };
        if (reason !== "reconnect") this.over(reason === "refused" ? "refused" : "ended");
      },
    };
    acts[event]?.();
  }

  private refused(failure: Failure): void {
    this.failure.value = failure;
    this.over("refused");
  }

  private over(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.out.value = reason;
    this.close();
  }

  async leave(): Promise<void> {
    const { me } = this;
    await this.end();
    await this.door.send(`/participants/${me}`, { method: "DELETE" }).catch(() => {});
    this.over("left");
  }

  async endForAll(): Promise<void> {
    await this.door.send("/end", { method: "POST" });
    this.over("ended");
  }

  /** Lets go of everything here; the place is kept for two minutes. */
  close(): void {
    this.isOver = true;
    clearTimeout(this.retry);
    for (const end of this.ears) end();
    void this.end();
    stop(this.stream);
    stop(this.screen.value);
    this.sound.srcObject = null;
  }

  private async end(): Promise<void> {
    await Promise.all([this.publisher?.end(), this.screenPublisher?.end(), this.watcher?.end()]);
    this.publisher = this.screenPublisher = this.watcher = undefined;
  }

  // Sound and pictures

  private reconnect(): void {
    this.publisher?.drop();
    this.watcher?.drop();
    this.screenPublisher?.drop();
    this.publisher = this.watcher = this.screenPublisher = undefined;
    void this.connect();
  }

  /** Makes the connections that are not there; tries again until they are. */
  private async connect(): Promise<void> {
    if (this.connecting || this.isOver || (this.publisher && this.watcher)) return;
    this.connecting = true;
    clearTimeout(this.retry);
    const servers = this.room.value?.iceServers ?? [];
    try {
      if (!this.publisher && this.stream.getTracks().length) {
        const made = new Publisher(this.door, servers, () => this.again("publisher"));
        await made.open(this.stream, "camera");
        this.publisher = made;
      }
      if (!this.watcher) {
        const made = new Watcher(this.door, servers, () => this.again("watcher"));
        await made.open(SOUNDS, PICTURES);
        this.watcher = made;
        this.hear();
        this.seats = new Map();
        await this.assign();
      }
      if (this.screen.value && !this.screenPublisher) await this.sendScreen(this.screen.value);
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind !== "missing" || failure.status === 404) this.later();
      else this.over("ended");
    } finally {
      this.connecting = false;
    }
  }

  private later(): void {
    clearTimeout(this.retry);
    if (this.isOver) return;
    this.retry = setTimeout(() => {
      if (this.isInside.value) void this.connect().then(() => this.assign());
    }, MILLISECONDS_BEFORE_AGAIN);
  }

  private again(which: "publisher" | "watcher"): void {
    this[which] = undefined;
    this.later();
  }

  /** Plays what the sound slots bring. */
  private hear(): void {
    for (const track of this.heard.getTracks()) this.heard.removeTrack(track);
    for (const slot of this.watcher?.slots ?? []) {
      const track = slot.kind === "audio" && this.watcher?.track(slot.mid);
      if (track) this.heard.addTrack(track);
    }
    this.sound.srcObject = this.heard;
    void this.sound.play().catch(() => {});
  }

  /** Gives everybody who sends a picture a slot: screens first, then faces in the order of the roster. */
  private async assign(): Promise<void> {
    const { watcher } = this;
    if (!watcher) return;
    const others = this.room.value?.participants.filter((each) => each.id !== this.me) ?? [];
    const screens = others.filter((each) => each.publishes.includes("screen")).map((each) => `${each.id}/screen`);
    const faces = others.filter((each) => each.publishes.includes("camera")).map((each) => each.id);
    const mids = watcher.slots.filter((slot) => slot.kind === "video").map((slot) => slot.mid);
    const seats = seated([...screens, ...faces], mids, this.seats);
    const changed = [...seats].filter(([source, mid]) => this.seats.get(source) !== mid);
    const isSame = !changed.length && seats.size === this.seats.size;
    this.seats = seats;
    if (changed.length) {
      try {
        await watcher.show(changed.map(([source, mid]) => ({ mid, source })));
      } catch {
        this.seats = new Map();
        this.later();
        return;
      }
    }
    if (isSame) return;
    const before = this.pictures.peek();
    this.pictures.value = new Map(
      [...seats].flatMap(([source, mid]) => {
        const track = watcher.track(mid);
        if (!track) return [];
        const kept = before.get(source);
        return [[source, kept?.getTracks()[0] === track ? kept : new MediaStream([track])] as const];
      }),
    );
  }

  private async tellFigures(): Promise<void> {
    if (!this.isInside.value || document.visibilityState === "hidden") return;
    const figures = this.gauge.read(await this.publisher?.stats(), await this.watcher?.stats());
    if (figures) await this.door.send("/quality", { method: "POST", ...json(figures) }).catch(() => {});
  }

  // What one does oneself

  /** Stops one's own microphone here at once, and then for all. */
  private hush(isMuted: boolean): void {
    this.isMuted.value = isMuted;
    for (const track of this.stream.getAudioTracks()) track.enabled = !isMuted;
  }

  async mute(isMuted: boolean): Promise<void> {
    if (!isMuted && !this.stream.getAudioTracks().length) {
      const taken = await take(["audio"]);
      for (const track of taken.stream.getTracks()) {
        this.stream.addTrack(track);
        await this.publisher?.replace("audio", track);
      }
      if (!this.publisher) void this.connect();
    }
    this.hush(isMuted || !this.stream.getAudioTracks().length);
    await this.decide(this.me, isMuted ? "mute" : "unmute");
  }

  async showCamera(isOn: boolean): Promise<void> {
    if (!isOn) {
      for (const track of this.stream.getVideoTracks()) {
        track.stop();
        this.stream.removeTrack(track);
      }
      await this.publisher?.replace("video", null);
    } else {
      const [track] = (await take(["video"])).stream.getTracks();
      if (!track) return;
      this.stream.addTrack(track);
      if (this.publisher) await this.publisher.replace("video", track);
      else void this.connect();
    }
    this.isCameraOn.value = isOn;
  }

  async shareScreen(): Promise<void> {
    const taken = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: false });
    const [track] = taken.getVideoTracks();
    if (track) track.onended = () => void this.stopScreen();
    this.screen.value = taken;
    await this.sendScreen(taken);
  }

  private async sendScreen(stream: MediaStream): Promise<void> {
    const made = new Publisher(this.door, this.room.value?.iceServers ?? [], () => {
      this.screenPublisher = undefined;
      this.later();
    });
    await made.open(stream, "screen");
    this.screenPublisher = made;
  }

  async stopScreen(): Promise<void> {
    stop(this.screen.value);
    this.screen.value = undefined;
    await this.screenPublisher?.end();
    this.screenPublisher = undefined;
  }

  /** Does something about a participant: admit, refuse, remove, mute, unmute. */
  async decide(participant: string, action: string, more: object = {}): Promise<void> {
    await this.door.send(`/participants/${participant}`, { method: "PATCH", ...json({ action, ...more }) });
  }

  async watch(mode: Mode): Promise<void> {
    await this.decide(this.me, "video", { mode });
  }

  async prolong(minutes: number): Promise<void> {
    const now = this.room.value?.limits.minutes ?? 0;
    await this.door.send("", { method: "PATCH", ...json({ minutes: now + minutes }) });
    this.isEnding.value = false;
  }

  // Talking

  private async catchUp(): Promise<void> {
    const answer = await this.door.send("/messages").catch(() => undefined);
    const told = answer && ((await answer.json()) as { messages: Message[] }).messages;
    if (told) this.messages.value = merged(told, this.messages.value);
  }

  private said(message: Message): void {
    const isNew = !this.messages.value.some((each) => each.id === message.id);
    this.messages.value = merged(this.messages.value, [message]);
    if (isNew && (message as Message & { by?: string }).by !== this.me) this.unread.value += 1;
  }

  async say(text: string): Promise<void> {
    const answer = await this.door.send("/messages", { method: "POST", ...json({ text }) });
    this.messages.value = merged(this.messages.value, [(await answer.json()) as Message]);
  }

  async give(file: File): Promise<void> {
    await this.door.send(`/files?title=${encodeURIComponent(file.name)}`, {
      method: "POST",
      headers: { "Content-Type": file.type || "text/plain" },
      body: file,
    });
  }

  /** Takes part in looking at images together. */
  async gesture(event: Readonly<Record<string, unknown>>): Promise<void> {
    await this.door.send("/review", { method: "POST", ...json(event) });
  }
}

/** Messages in their order, each once. */
export function merged(some: readonly Message[], more: readonly Message[]): Message[] {
  const all = new Map([...some, ...more].map((each) => [each.id, each]));
  return [...all.values()].toSorted((one, other) => (one.sent ?? "").localeCompare(other.sent ?? ""));
}
