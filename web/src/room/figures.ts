// What the browser measures of one's own line, as the server takes it.

export interface Figures {
  readonly lost?: number;
  readonly roundTripMs?: number;
  readonly jitterMs?: number;
  readonly framesPerSecond?: number;
  readonly freezes?: number;
}

type Row = Readonly<Record<string, number | string | undefined>>;

/** Measures losses since the last time; everything else as it is now. */
export class Gauge {
  private got = 0;
  private lost = 0;

  /** The figures of what is sent and what is seen; undefined where nothing is connected. */
  read(sent: RTCStatsReport | undefined, seen: RTCStatsReport | undefined): Figures | undefined {
    const rows = (report: RTCStatsReport | undefined): Row[] => (report ? ([...report.values()] as Row[]) : []);
    const coming = rows(seen).filter((row) => row.type === "inbound-rtp");
    const pair = [...rows(seen), ...rows(sent)].find((row) => row.type === "candidate-pair" && row.nominated);
    if (!pair && !coming.length) return undefined;
    const sum = (name: string) => coming.reduce((total, row) => total + Number(row[name] ?? 0), 0);
    const most = (name: string) => Math.max(0, ...coming.map((row) => Number(row[name] ?? 0)));
    const [got, lost] = [sum("packetsReceived") - this.got, sum("packetsLost") - this.lost];
    this.got += got;
    this.lost += lost;
    const time = pair?.currentRoundTripTime;
    return {
      ...(got > 0 && lost >= 0 ? { lost: lost / (got + lost) } : {}),
      ...(time === undefined ? {} : { roundTripMs: Math.round(Number(time) * 1000) }),
      jitterMs: Math.round(most("jitter") * 1000),
      framesPerSecond: Math.round(most("framesPerSecond")),
      freezes: most("freezeCount"),
    };
  }
}
