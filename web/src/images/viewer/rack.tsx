// The rack of series: each with a picture of its middle, or why it cannot be shown.

import { useEffect, useRef } from "preact/hooks";
import { say } from "../../words/say.ts";
import type { Series } from "../series.ts";
import { core, imageIdOf } from "./engine.ts";
import type { Viewer } from "./viewer.ts";

interface Props {
  readonly series: readonly Series[];
  readonly viewer: Viewer;
  readonly show: (series: Series) => void;
}

export function Rack({ series, viewer, show }: Props) {
  const state = viewer.state.value;
  const shown = state.panes[state.active]?.series;
  return (
    <nav class="viewer-rack" aria-label={say("viewer.series")}>
      <ol class="viewer-series">
        {series.map((each) => (
          <li key={each.uid}>
            <button
              type="button"
              disabled={each.reason !== undefined}
              aria-current={each.uid === shown}
              onClick={() => show(each)}
            >
              {each.reason ? <span class="viewer-thumb">{each.modality}</span> : <Thumbnail series={each} />}
              <span class="viewer-series-text">
                <strong>
                  {each.modality} {each.description}
                </strong>
                <span class="soft small">
                  {each.reason ? say(`reason.${each.reason}`) : say("viewer.frames", { count: each.frames.length })}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Thumbnail({ series }: { series: Series }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const middle = series.frames[Math.floor(series.frames.length / 2)];
  useEffect(() => {
    if (!canvas.current || !middle) return;
    const imageId = imageIdOf(series, middle);
    core.utilities
      .loadImageToCanvas({ canvas: canvas.current, imageId, thumbnail: true, viewReference: undefined } as never)
      .catch(() => undefined);
  }, [series]);
  return (
    <span class="viewer-thumb" aria-hidden="true">
      <canvas ref={canvas} />
    </span>
  );
}
