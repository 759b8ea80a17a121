// Sound and pictures: WHIP to send (RFC 9725), WHEP to see (draft-ietf-wish-whep), with slots that are switched.

import { type Door, json } from "./door.ts";

const MILLISECONDS_TO_GATHER = 600;
const MILLISECONDS_OF_GRACE = 2_500;
const SDP = { "Content-Type": "application/sdp" };

export interface Slot {
  readonly mid: string;
  readonly kind: "audio" | "video";
  readonly source: string | null;
}

/** A connection that tells once when it is lost, so that it is made anew. */
abstract class Connection {
  protected connection: RTCPeerConnection | undefined;
  protected resource = "";
  private isEnded = false;
  private grace: ReturnType<typeof setTimeout> | undefined;

  constructor(
    protected readonly door: Door,
    private readonly iceServers: RTCIceServer[],
    private readonly lost: () => void,
  ) {}

  protected begin(): RTCPeerConnection {
    const made = new RTCPeerConnection({ iceServers: this.iceServers, bundlePolicy: "max-bundle" });
    made.onconnectionstatechange = () => {
      clearTimeout(this.grace);
      if (made.connectionState === "failed") this.lose();
      if (made.connectionState === "disconnected") this.grace = setTimeout(() => this.lose(), MILLISECONDS_OF_GRACE);
    };
    this.connection = made;
    return made;
  }

  private lose(): void {
    if (this.isEnded) return;
    this.drop();
    this.lost();
  }

  /** Ends it here; the server notices by itself. */
  drop(): void {
    this.isEnded = true;
    clearTimeout(this.grace);
    this.connection?.close();
  }

  /** Ends it here and there. */
  async end(): Promise<void> {
    this.drop();
    if (this.resource) await this.door.send(this.resource, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  async stats(): Promise<RTCStatsReport | undefined> {
    return this.connection?.connectionState === "connected" ? this.connection.getStats() : undefined;
  }
}

/** Sends a camera with a microphone, or a screen. */
export class Publisher extends Connection {
  private readonly senders = new Map<string, RTCRtpSender>();

  async open(stream: MediaStream, source: "camera" | "screen"): Promise<void> {
    const connection = this.begin();
    for (const kind of source === "camera" ? ["audio", "video"] : ["video"]) {
      const track = stream.getTracks().find((each) => each.kind === kind);
      if (!track && kind === "video" && source === "screen") continue;
      const sender = connection.addTransceiver(track ?? kind, { direction: "sendonly", streams: [stream] }).sender;
      this.senders.set(kind, sender);
    }
    await connection.setLocalDescription();
    await gathered(connection);
    const answer = await this.door.send(`/whip?source=${source}`, {
      method: "POST",
      headers: SDP,
      body: connection.localDescription?.sdp ?? "",
    });
    this.resource = answer.headers.get("location") ?? "";
    await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  }

  /** Sends another track of a kind, or none; the connection stays. */
  async replace(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void> {
    await this.senders.get(kind)?.replaceTrack(track);
  }
}

/** Sees and hears the others, in slots. */
export class Watcher extends Connection {
  slots: readonly Slot[] = [];

  async open(sounds: number, pictures: number): Promise<void> {
    const connection = this.begin();
    for (let at = 0; at < sounds; at++) connection.addTransceiver("audio", { direction: "recvonly" });
    for (let at = 0; at < pictures; at++) connection.addTransceiver("video", { direction: "recvonly" });
    await connection.setLocalDescription();
    await gathered(connection);
    const body = connection.localDescription?.sdp ?? "";
    const answer = await this.door.send("/whep", { method: "POST", headers: SDP, body }, [406]);
    this.resource = answer.headers.get("location") ?? "";
    const sdp = await answer.text();
    if (answer.status === 406) await this.agree(connection, sdp);
    else await connection.setRemoteDescription({ type: "answer", sdp });
    const told = await this.door.send(`${this.resource}/slots`);
    this.slots = ((await told.json()) as { slots: Slot[] }).slots;
  }

  /** Takes the server's own offer in the place of ours. */
  private async agree(refused: RTCPeerConnection, offer: string): Promise<void> {
    refused.onconnectionstatechange = null;
    refused.close();
    const connection = this.begin();
    await connection.setRemoteDescription({ type: "offer", sdp: offer });
    await connection.setLocalDescription();
    await gathered(connection);
    const body = connection.localDescription?.sdp ?? "";
    await this.door.send(this.resource, { method: "PATCH", headers: SDP, body });
  }

  /** The track that comes in a slot. */
  track(mid: string): MediaStreamTrack | undefined {
    return this.connection?.getTransceivers().find((each) => each.mid === mid)?.receiver.track;
  }

  async show(slots: readonly { mid: string; source: string }[]): Promise<void> {
    await this.door.send(`${this.resource}/slots`, { method: "PATCH", ...json({ slots }) });
  }
}

/** Waits until all own addresses are known, for a moment at most: the server finds what is missing by itself. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, MILLISECONDS_TO_GATHER);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Gives sources their slots: who has one keeps it, so that faces stay in their places; who is new takes the next that is
 * free. Returns the slot of each source that has one.
 */
export function seated(
  wanted: readonly string[],
  mids: readonly string[],
  before: ReadonlyMap<string, string>,
): Map<string, string> {
  const seats = new Map([...before].filter(([source, mid]) => wanted.includes(source) && mids.includes(mid)));
  const taken = new Set(seats.values());
  const free = mids.filter((mid) => !taken.has(mid));
  for (const source of wanted) {
    if (seats.has(source)) continue;
    const mid = free.shift();
    if (mid === undefined) break;
    seats.set(source, mid);
  }
  return seats;
}
