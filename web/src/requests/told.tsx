// What failed in a form or at an act: what the server says, and what to do.

import type { Failure } from "../fhir/failure.ts";
import { Faults } from "../parts/state.tsx";

export function Told({ failure }: { failure: Failure }) {
  return (
    <div class="fault-summary" role="alert">
      <strong>{failure.faults.length ? failure.faults[0]?.text : failure.title}</strong>
      <p>{failure.remedy}</p>
      {failure.faults.length > 1 && <Faults failure={failure} />}
    </div>
  );
}
