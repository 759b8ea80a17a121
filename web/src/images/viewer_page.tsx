// The viewer's page. The library that draws is asked for while the server tells what is in the study, and the first image
// while that library still loads.

import type { ComponentType } from "preact";
import { Shown, useAsked } from "../parts/asked.tsx";
import type { PageProps } from "../shell/page.ts";
import { place } from "../shell/router.ts";
import { frameUrl, metadataOf } from "./archive.ts";
import { askEarly } from "./frames.ts";
import { firstShown, paneOf, type Series, seriesOf } from "./series.ts";

type OpenStudy = ComponentType<{ readonly series: readonly Series[] }>;

/** Brings what opens a study, with the library of images. */
export async function bringLibrary(): Promise<OpenStudy> {
  return (await import("./open_study.tsx")).OpenStudy;
}

export function ViewerPage({ parts }: PageProps) {
  const study = parts.study ?? "";
  const library = useAsked(bringLibrary, []);
  const series = useAsked(async (stop) => begun(seriesOf(await metadataOf(study, stop))), [study]);
  return (
    <Shown of={series.value} bones={6}>
      {(found) => (
        <Shown of={library.value} bones={6}>
          {(Open) => <Open series={found} />}
        </Shown>
      )}
    </Shown>
  );
}

/** Asks for the image that will be shown first. */
function begun(series: readonly Series[]): readonly Series[] {
  const first = firstShown(series, place.value.query.get("series"));
  const frame = first?.frames[paneOf(first).at];
  if (first && frame) askEarly(frameUrl(first.study, first.uid, frame.instance, frame.number));
  return series;
}
