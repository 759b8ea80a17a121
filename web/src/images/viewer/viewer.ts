// A viewer of one or two studies: its state is a small JSON, taken by `apply` and told by `onChange`.

import type { Types } from "@cornerstonejs/core";
import { signal } from "@preact/signals";
import { counterpart, type Series } from "../series.ts";
import { begin, bind, core, MARKING, TOOL_GROUP, told, tools, VOLUME_GROUP } from "./engine.ts";
import { drawMarks, drawnMarks, type Stand } from "./mark.ts";
import { rangeOf, windowOf } from "./preset.ts";
import { EMPTY, type PaneState, type Point, type ViewerState, withPane } from "./state.ts";

export const PLANES = ["axial", "sagittal", "coronal"] as const;
export type Plane = (typeof PLANES)[number];
const AHEAD_AT_ONCE = 6;
/** How many requests there are at once for frames of one instance, and how many come in an answer. */
const ANSWERS_AT_ONCE = 2;
const IN_ONE_ANSWER = 20;
const MILLISECONDS_OF_BURST = 40;

/** Where somebody points: a series, a frame, and a place in the patient. */
export interface Pointing extends Stand {
  readonly point: Point;
}

let count = 0;

export class Viewer {
  readonly state = signal<ViewerState>(EMPTY);
  /** What could not be shown in a pane, by its number. */
  readonly problems = signal<ReadonlyMap<number, string>>(new Map());
  /** How many frames of the active series are here, and of how many. */
  readonly loaded = signal<readonly [number, number]>([0, 0]);
  readonly tool = signal("WindowLevel");
  /** Changes whenever something is drawn anew, for what lies above the images. */
  readonly drawn = signal(0);

  private readonly series = new Map<string, Series>();
  private readonly names = new Map<string, readonly string[]>();
  private readonly stands = new Map<string, Stand>();
  private readonly shown = new Map<number, string>();
  private readonly elements = new Map<string, HTMLDivElement>();
  private readonly listeners = new Set<(state: ViewerState) => void>();
  private readonly id = `viewer-${++count}`;
  private engine: core.RenderingEngine | undefined;
  private applying = 0;
  private telling: ReturnType<typeof setTimeout> | undefined;
  private playing = 0;
  private ahead = 0;

  /** Begins, with these series. */
  async begin(series: readonly Series[]): Promise<void> {
    await begin();
    this.engine = new core.RenderingEngine(this.id);
    this.add(series);
    bind(TOOL_GROUP, this.tool.value);
    for (const name of [
      tools.Enums.Events.ANNOTATION_COMPLETED,
      tools.Enums.Events.ANNOTATION_MODIFIED,
      tools.Enums.Events.ANNOTATION_REMOVED,
    ]) {
      core.eventTarget.addEventListener(name, this.heedMarks);
    }
  }

  /** Makes more series known, such as those of a prior study. */
  add(series: readonly Series[]): void {
    for (const each of series) {
      if (each.reason || this.series.has(each.uid)) continue;
      const names = told(each);
      this.series.set(each.uid, each);
      this.names.set(each.uid, names);
      for (const [at, name] of names.entries()) this.stands.set(name, { series: each.uid, at });
    }
  }

  end(): void {
    cancelAnimationFrame(this.playing);
    clearTimeout(this.telling);
    this.ahead += 1;
    for (const name of [
      tools.Enums.Events.ANNOTATION_COMPLETED,
      tools.Enums.Events.ANNOTATION_MODIFIED,
      tools.Enums.Events.ANNOTATION_REMOVED,
    ]) {
      core.eventTarget.removeEventListener(name, this.heedMarks);
    }
    tools.annotation.state.removeAllAnnotations();
    this.engine?.destroy();
    core.cache.purgeCache();
  }

  // State

  /** Calls a listener after each change that was made here, a few times a second at most; returns how to stop. */
  onChange(listener: (state: ViewerState) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Shows a state, whoever made it; nobody is told of it. */
  async apply(state: ViewerState): Promise<void> {
    this.applying += 1;
    try {
      const before = this.state.value;
      this.state.value = state;
      await this.show(before);
    } finally {
      this.applying -= 1;
    }
  }

  /** Changes the state from here: it is shown, and told. */
  async change(state: ViewerState): Promise<void> {
    await this.apply(state);
    this.announce();
  }

  private tell(): void {
    if (!this.applying) this.announce();
  }

  private announce(): void {
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      for (const listener of this.listeners) listener(this.state.value);
    }, MILLISECONDS_OF_BURST);
  }

  // Panes

  /** Draws into an element: a pane of images (`pane-0`) or a plane of the volume (`plane-axial`). */
  attach(slot: string, element: HTMLDivElement): () => void {
    const plane = slot.startsWith("plane-") ? (slot.slice(6) as Plane) : undefined;
    const engine = this.engine;
    if (!engine) return () => undefined;
    this.elements.set(slot, element);
    const type = plane ? core.Enums.ViewportType.ORTHOGRAPHIC : core.Enums.ViewportType.STACK;
    const orientation = plane ? { orientation: core.Enums.OrientationAxis[plane.toUpperCase() as "AXIAL"] } : {};
    engine.enableElement({
      viewportId: this.nameOf(slot),
      type,
      element,
      defaultOptions: { background: [0, 0, 0], ...orientation } as never,
    });
    tools.ToolGroupManager.getToolGroup(plane ? VOLUME_GROUP : TOOL_GROUP)?.addViewport(this.nameOf(slot), engine.id);
    const index = Number(slot.slice(5));
    const heed = () => {
      this.drawn.value += 1;
      if (!plane) this.heed(index);
    };
    const { Events } = core.Enums;
    for (const name of [Events.STACK_NEW_IMAGE, Events.VOI_MODIFIED, Events.CAMERA_MODIFIED, Events.IMAGE_RENDERED])
      element.addEventListener(name, heed);
    const resized = new ResizeObserver(() => this.resize());
    resized.observe(element);
    const ready = plane ? this.showVolume() : this.showPane(index);
    void ready;
    return () => {
      resized.disconnect();
      for (const name of [Events.STACK_NEW_IMAGE, Events.VOI_MODIFIED, Events.CAMERA_MODIFIED, Events.IMAGE_RENDERED])
        element.removeEventListener(name, heed);
      this.elements.delete(slot);
      this.shown.delete(index);
      tools.ToolGroupManager.getToolGroup(plane ? VOLUME_GROUP : TOOL_GROUP)?.removeViewports(
        engine.id,
        this.nameOf(slot),
      );
      engine.disableElement(this.nameOf(slot));
    };
  }

  /** Draws at the new size of the panes; what is shown keeps its share of them. */
  private resize(): void {
    this.applying += 1;
    this.engine?.resize(true, false);
    for (const [index, pane] of this.state.value.panes.entries()) {
      const viewport = this.stack(index);
      if (viewport?.getImageData()) this.arrange(viewport, pane);
    }
    this.applying -= 1;
  }

  private nameOf(slot: string): string {
    return `${this.id}-${slot}`;
  }

  stack(index: number): Types.IStackViewport | undefined {
    return this.engine?.getViewport(this.nameOf(`pane-${index}`)) as Types.IStackViewport | undefined;
  }

  plane(plane: Plane): Types.IVolumeViewport | undefined {
    return this.engine?.getViewport(this.nameOf(`plane-${plane}`)) as Types.IVolumeViewport | undefined;
  }

  seriesOf(pane: PaneState | undefined): Series | undefined {
    return pane && this.series.get(pane.series);
  }

  private async show(before: ViewerState): Promise<void> {
    const state = this.state.value;
    if (state.layout !== "mpr") await Promise.all(state.panes.map((_, index) => this.showPane(index)));
    else if (state.cross && state.cross !== before.cross)
      this.crosshairs()?.setToolCenter([...state.cross] as Types.Point3, true);
    drawMarks(state.marks, this.marks(), ({ series, at }) => this.names.get(series)?.[at]);
    this.engine?.render();
    if (state.play !== before.play) this.play();
  }

  private async showPane(index: number): Promise<void> {
    const pane = this.state.value.panes[index];
    const viewport = this.stack(index);
    const names = pane && this.names.get(pane.series);
    if (!pane || !viewport || !names) return;
    this.applying += 1;
    try {
      const at = Math.min(Math.max(0, pane.at), names.length - 1);
      if (this.shown.get(index) !== pane.series) {
        this.shown.set(index, pane.series);
        await viewport.setStack([...names], at);
        this.loadAhead(pane.series, at);
      } else if (viewport.getCurrentImageIdIndex() !== at) await viewport.setImageIdIndex(at);
      this.arrange(viewport, pane);
      this.setProblem(index);
    } catch (thrown) {
      this.setProblem(
        index,
        thrown instanceof Error ? thrown.message : String((thrown as { error?: unknown }).error ?? thrown),
      );
    } finally {
      this.applying -= 1;
    }
  }

  private arrange(viewport: Types.IStackViewport, pane: PaneState): void {
    if (pane.window) viewport.setProperties({ voiRange: rangeOf(pane.window), invert: pane.invert ?? false });
    else viewport.setProperties({ invert: pane.invert ?? false });
    const height = viewport.element.clientHeight || 1;
    const [x, y] = pane.pan ?? [0, 0];
    viewport.setViewPresentation({
      rotation: pane.rotation ?? 0,
      zoom: pane.zoom ?? 1,
      pan: [x * height, y * height],
      flipHorizontal: pane.flip ?? false,
    });
    viewport.render();
  }

  private setProblem(index: number, text?: string): void {
    const problems = new Map(this.problems.value);
    if (text) problems.set(index, text);
    else problems.delete(index);
    this.problems.value = problems;
  }

  /** Takes over what the mouse did in a pane. */
  private heed(index: number): void {
    const viewport = this.stack(index);
    const pane = this.state.value.panes[index];
    if (this.applying || !viewport || !pane || this.shown.get(index) !== pane.series || !viewport.getImageData())
      return;
    const changed = this.read(viewport, pane);
    if (JSON.stringify({ ...pane, ...changed }) === JSON.stringify(pane)) return;
    this.state.value = this.together(withPane(this.activeAt(index, pane), index, changed), index, pane);
    this.tell();
  }

  /** What the mouse did makes a pane the active one; what it shows first does not. */
  private activeAt(index: number, pane: PaneState): ViewerState {
    return pane.window ? { ...this.state.value, active: index } : this.state.value;
  }

  private read(viewport: Types.IStackViewport, pane: PaneState): Partial<PaneState> {
    const seen = viewport.getViewPresentation();
    const height = viewport.element.clientHeight || 1;
    const { voiRange, invert } = viewport.getProperties();
    const fine = (value: number) => Math.round(value * 1000) / 1000 + 0;
    const changed = {
      at: viewport.getCurrentImageIdIndex(),
      zoom: fine(seen.zoom ?? 1),
      pan: [fine((seen.pan?.[0] ?? 0) / height), fine((seen.pan?.[1] ?? 0) / height)] as const,
      rotation: Math.round(seen.rotation ?? 0),
      invert: invert ?? false,
      flip: seen.flipHorizontal ?? false,
    };
    const window = voiRange && windowOf(voiRange);
    const differs = window && pane.window?.join() !== window.join();
    return differs ? { ...changed, window } : changed;
  }

  /** Lets the other pane go along. */
  private together(state: ViewerState, index: number, before: PaneState): ViewerState {
    const other = 1 - index;
    const pane = state.panes[index];
    const beside = state.panes[other];
    const [one, two] = [this.seriesOf(pane), this.seriesOf(beside)];
    const frame = one?.frames[pane?.at ?? 0];
    if (!state.sync || state.layout !== "two" || !pane || !beside || !one || !two || !frame) return state;
    const moved = pane.at === before.at ? {} : { at: counterpart(frame, pane.at, one, two) };
    const windowed = one.modality === two.modality && before.window && pane.window ? { window: pane.window } : {};
    const next = withPane(state, other, {
      ...moved,
      ...windowed,
      ...(pane.zoom ? { zoom: pane.zoom } : {}),
      ...(pane.pan ? { pan: pane.pan } : {}),
    });
    queueMicrotask(() => void this.showPane(other));
    return next;
  }

  // The volume

  private async showVolume(): Promise<void> {
    const engine = this.engine;
    const pane = this.state.value.panes[this.state.value.active];
    const names = pane && this.names.get(pane.series);
    if (!engine || !pane || !names || !PLANES.every((plane) => this.elements.has(`plane-${plane}`))) return;
    const volumeId = `cornerstoneStreamingImageVolume:${pane.series}`;
    const volume = await core.volumeLoader.createAndCacheVolume(volumeId, { imageIds: [...names] });
    (volume as { load: () => void }).load();
    const ids = PLANES.map((plane) => this.nameOf(`plane-${plane}`));
    await core.setVolumesForViewports(engine, [{ volumeId }], ids);
    if (pane.window) for (const plane of PLANES) this.plane(plane)?.setProperties({ voiRange: rangeOf(pane.window) });
    bind(VOLUME_GROUP, "Crosshairs");
    this.tool.value = "Crosshairs";
    engine.render();
    const cross = this.state.value.cross;
    if (cross) this.crosshairs()?.setToolCenter([...cross] as Types.Point3, true);
    core.eventTarget.addEventListener(tools.Enums.Events.CROSSHAIR_TOOL_CENTER_CHANGED, this.heedCross);
  }

  private crosshairs() {
    return tools.ToolGroupManager.getToolGroup(VOLUME_GROUP)?.getToolInstance("Crosshairs") as
      | { toolCenter: Types.Point3; setToolCenter: (to: Types.Point3, quiet?: boolean) => void }
      | undefined;
  }

  private readonly heedCross = () => {
    const at = this.crosshairs()?.toolCenter;
    if (!at || this.applying || this.state.value.layout !== "mpr") return;
    const cross: Point = [Math.round(at[0] * 10) / 10, Math.round(at[1] * 10) / 10, Math.round(at[2] * 10) / 10];
    if (cross.join() === this.state.value.cross?.join()) return;
    this.state.value = { ...this.state.value, cross };
    this.tell();
  };

  // Marks

  private marks() {
    return drawnMarks((name) => this.stands.get(name));
  }

  private readonly heedMarks = () => {
    if (this.applying) return;
    this.drawn.value += 1;
    queueMicrotask(() => {
      const marks = this.marks();
      if (JSON.stringify(marks) === JSON.stringify(this.state.value.marks)) return;
      this.state.value = { ...this.state.value, marks };
      this.tell();
    });
  };

  // Tools and time

  use(tool: string): void {
    this.tool.value = tool;
    bind(this.state.value.layout === "mpr" ? VOLUME_GROUP : TOOL_GROUP, tool);
  }

  isMarking(): boolean {
    return (MARKING as readonly string[]).includes(this.tool.value);
  }

  /** Goes on through the frames, as fast as is wanted, and never to one that is not here yet. */
  private play(): void {
    cancelAnimationFrame(this.playing);
    const { play } = this.state.value;
    if (!play) return;
    let last = performance.now();
    const step = (now: number) => {
      this.playing = requestAnimationFrame(step);
      if (now - last < 1000 / play - 4) return;
      const { active, panes } = this.state.value;
      const pane = panes[active];
      const names = pane && this.names.get(pane.series);
      if (!pane || !names || names.length < 2) return;
      const next = (pane.at + 1) % names.length;
      if (!core.cache.isLoaded(names[next] ?? "")) return;
      last = now;
      void this.stack(active)?.setImageIdIndex(next);
    };
    this.playing = requestAnimationFrame(step);
  }

  /** Loads all frames of a series, always the nearest to what is shown. */
  private loadAhead(uid: string, from: number): void {
    const names = this.names.get(uid) ?? [];
    this.ahead += 1;
    const run = this.ahead;
    const left = new Set(names.keys());
    this.loaded.value = [0, names.length];
    const nearest = (): number | undefined => {
      const pane = this.state.value.panes.find((each) => each.series === uid);
      const here = pane?.at ?? from;
      for (let far = 0; far < names.length; far += 1) {
        if (left.has(here + far)) return here + far;
        if (left.has(here - far)) return here - far;
      }
      return undefined;
    };
    const load = async (at: number): Promise<void> => {
      await core.imageLoader.loadAndCacheImage(names[at] ?? "").catch(() => undefined);
      if (this.ahead === run) this.loaded.value = [this.loaded.value[0] + 1, names.length];
    };
    const work = async (together: number): Promise<void> => {
      while (left.size && this.ahead === run) {
        const loading: Promise<void>[] = [];
        for (let at = nearest(); at !== undefined && loading.length < together; at = nearest()) {
          left.delete(at);
          loading.push(load(at));
        }
        await Promise.all(loading);
      }
    };
    const frames = this.series.get(uid)?.frames;
    const isOne = frames?.[0]?.instance === frames?.at(-1)?.instance;
    for (let at = 0; at < (isOne ? ANSWERS_AT_ONCE : AHEAD_AT_ONCE); at += 1) void work(isOne ? IN_ONE_ANSWER : 1);
  }

  // Pointing

  /** Where a place on a pane is in the patient. */
  pointAt(index: number, x: number, y: number): Pointing | undefined {
    const pane = this.state.value.panes[index];
    const viewport = this.stack(index);
    if (!pane || !viewport?.getImageData()) return undefined;
    const [a, b, c] = viewport.canvasToWorld([x, y]);
    return { series: pane.series, at: pane.at, point: [a, b, c] };
  }

  /** Where a place in the patient is on a pane; undefined where the pane shows something else. */
  placeOf(index: number, pointing: Pointing): readonly [number, number] | undefined {
    const pane = this.state.value.panes[index];
    const viewport = this.stack(index);
    if (!viewport?.getImageData() || pane?.series !== pointing.series || pane.at !== pointing.at) return undefined;
    const [x, y] = viewport.worldToCanvas([...pointing.point] as Types.Point3);
    return [x, y];
  }
}
