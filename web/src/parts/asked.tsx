// What is asked of the server: loading, there, or failed; asked again when the line comes back.

import { type ReadonlySignal, signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { asFailure, type Failure } from "../fhir/failure.ts";
import { returns } from "../shell/line.ts";
import { Bones, FailureState } from "./state.tsx";

/** `value` stays while it is asked for again, and `failure` says why the last time failed. */
export interface Asked<T> {
  readonly value: T | undefined;
  readonly failure: Failure | undefined;
  readonly isLoading: boolean;
  readonly again: () => void;
}

/** Asks when `inputs` change, when the line comes back, and every so many `seconds` while the page is seen. */
export function useAsked<T>(
  ask: (signal: AbortSignal) => Promise<T>,
  inputs: readonly unknown[],
  seconds = 0,
): ReadonlySignal<Asked<T>> {
  const times = useMemo(() => signal(0), []);
  const again = useMemo(
    () => () => {
      times.value += 1;
    },
    [times],
  );
  const asked = useMemo(() => signal<Asked<T>>({ value: undefined, failure: undefined, isLoading: true, again }), []);
  useEffect(() => {
    const timer = seconds
      ? setInterval(() => document.visibilityState === "visible" && again(), seconds * 1000)
      : undefined;
    return () => clearInterval(timer);
  }, [seconds, again]);
  useEffect(() => {
    asked.value = { ...asked.peek(), value: undefined };
  }, inputs);
  useEffect(() => {
    const stopper = new AbortController();
    asked.value = { ...asked.peek(), isLoading: true };
    ask(stopper.signal).then(
      (value) => {
        if (!stopper.signal.aborted) asked.value = { value, failure: undefined, isLoading: false, again };
      },
      (thrown) => {
        if (!stopper.signal.aborted) asked.value = { ...asked.peek(), failure: asFailure(thrown), isLoading: false };
      },
    );
    return () => stopper.abort();
  }, [...inputs, times.value, returns.value]);
  return asked;
}

/**
 * Shows what was asked for: its bones while it loads, what to do where it failed. Where nothing of a kind may be seen,
 * `none` is shown: for a list on a page of several, that is no failure.
 */
export function Shown<T>({
  of,
  bones,
  none,
  children,
}: {
  of: Asked<T>;
  bones?: number;
  none?: ComponentChildren;
  children: (value: T) => ComponentChildren;
}): JSX.Element {
  if (of.value !== undefined) return <>{children(of.value)}</>;
  if (of.failure?.kind === "forbidden" && none !== undefined) return <>{none}</>;
  if (of.failure) return <FailureState failure={of.failure} again={of.again} />;
  return <Bones rows={bones ?? 4} />;
}
