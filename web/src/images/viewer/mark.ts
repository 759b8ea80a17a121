// Marks between the small JSON that is shared and the annotations that the library draws.

import type { Types } from "@cornerstonejs/tools";
import { core, MARKING, tools } from "./engine.ts";
import type { Mark, Point } from "./state.ts";

/** Where an image stands: a series and the number of a frame. */
export interface Stand {
  readonly series: string;
  readonly at: number;
}

interface Drawn {
  readonly annotationUID?: string;
  readonly metadata?: { readonly toolName?: string; readonly referencedImageId?: string };
  readonly data?: { readonly handles?: { readonly points?: readonly ArrayLike<number>[] }; readonly label?: string };
}

/** All marks that are drawn on images that are known. */
export function drawnMarks(standOf: (imageId: string) => Stand | undefined): Mark[] {
  return (tools.annotation.state.getAllAnnotations() as unknown as Drawn[]).flatMap((drawn) => {
    const tool = drawn.metadata?.toolName ?? "";
    const stand = standOf(drawn.metadata?.referencedImageId ?? "");
    if (!stand || !drawn.annotationUID || !(MARKING as readonly string[]).includes(tool)) return [];
    const points = (drawn.data?.handles?.points ?? []).map(
      (point): Point => [rounded(point[0]), rounded(point[1]), rounded(point[2])],
    );
    return [
      { id: drawn.annotationUID, tool, points, ...stand, ...(drawn.data?.label ? { text: drawn.data.label } : {}) },
    ];
  });
}

function rounded(value: number | undefined): number {
  return Math.round((value ?? 0) * 1000) / 1000;
}

/** Draws the marks that are not there, moves those that lie elsewhere, and takes away those that are gone. */
export function drawMarks(
  marks: readonly Mark[],
  known: readonly Mark[],
  imageIdAt: (stand: Stand) => string | undefined,
): void {
  const wanted = new Map(marks.map((mark) => [mark.id, mark]));
  for (const mark of known) if (!same(mark, wanted.get(mark.id))) tools.annotation.state.removeAnnotation(mark.id);
  const kept = new Set(known.filter((mark) => same(mark, wanted.get(mark.id))).map((mark) => mark.id));
  for (const mark of marks) {
    const imageId = imageIdAt(mark);
    if (imageId && !kept.has(mark.id)) draw(mark, imageId);
  }
}

function same(one: Mark, other: Mark | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function draw(mark: Mark, imageId: string): void {
  const plane = core.metaData.get("imagePlaneModule", imageId) as
    | { rowCosines?: number[]; columnCosines?: number[]; frameOfReferenceUID?: string }
    | undefined;
  const row = plane?.rowCosines ?? [1, 0, 0];
  const column = plane?.columnCosines ?? [0, 1, 0];
  const zero: Types.TextBoxHandle["worldPosition"] = [0, 0, 0];
  const annotation = {
    annotationUID: mark.id,
    highlighted: false,
    invalidated: true,
    isLocked: false,
    isVisible: true,
    metadata: {
      toolName: mark.tool,
      referencedImageId: imageId,
      FrameOfReferenceUID: plane?.frameOfReferenceUID ?? "",
      viewPlaneNormal: cross(row, column),
      viewUp: column.map((value) => -value),
    },
    data: {
      handles: {
        points: mark.points.map((point) => [...point]),
        activeHandleIndex: null,
        textBox: {
          hasMoved: false,
          worldPosition: zero,
          worldBoundingBox: { topLeft: zero, topRight: zero, bottomLeft: zero, bottomRight: zero },
        },
      },
      label: mark.text ?? "",
      text: mark.text ?? "",
      cachedStats: {},
    },
  };
  tools.annotation.state.addAnnotation(annotation as never, plane?.frameOfReferenceUID ?? "");
}

function cross(
  [a = 0, b = 0, c = 0]: readonly number[],
  [d = 0, e = 0, f = 0]: readonly number[],
): [number, number, number] {
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** What was measured, as it stands beside a mark: the numbers of its first image. */
export function measured(id: string): Readonly<Record<string, unknown>> {
  const annotation = tools.annotation.state.getAnnotation(id) as unknown as
    | { data?: { cachedStats?: Record<string, Record<string, unknown>> } }
    | undefined;
  return Object.values(annotation?.data?.cachedStats ?? {})[0] ?? {};
}
