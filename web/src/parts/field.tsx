// Fields of a form: a name, a hint, what is wrong, and the summary of faults above them.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { say } from "../words/say.ts";

interface Frame {
  readonly label: string;
  readonly hint?: string;
  readonly fault?: string | undefined;
}

/** What ties a control to its words. */
interface Described {
  readonly id: string;
  readonly "aria-describedby"?: string;
  readonly "aria-invalid"?: boolean;
}

/** The frame of a field; `children` makes the control from what ties it to its words. */
export function Field({ label, hint, fault, children }: Frame & { children: (tied: Described) => ComponentChildren }) {
  const id = useId();
  const described = [hint && `${id}-hint`, fault && `${id}-fault`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {hint && (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {fault && (
        <span class="fault" id={`${id}-fault`}>
          {fault}
        </span>
      )}
      {children({
        id,
        ...(described ? { "aria-describedby": described } : {}),
        ...(fault ? { "aria-invalid": true } : {}),
      })}
    </div>
  );
}

interface TextProps extends Frame {
  readonly value: string;
  readonly change: (value: string) => void;
  readonly type?: "text" | "search" | "url" | "email" | "tel" | "date" | "datetime-local" | "password";
  readonly autocomplete?: string;
  readonly spellcheck?: boolean;
  readonly isRequired?: boolean;
}

/** A line of text. */
export function TextField({
  label,
  hint,
  fault,
  change,
  value,
  type = "text",
  isRequired = false,
  ...rest
}: TextProps) {
  return (
    <Field label={label} {...(hint ? { hint } : {})} fault={fault}>
      {(tied) => (
        <input
          class="input"
          {...({ type } as { type: "text" })}
          value={value}
          autocomplete={rest.autocomplete ?? "on"}
          spellcheck={rest.spellcheck ?? true}
          required={isRequired}
          {...tied}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** Several lines of text. */
export function AreaField({
  label,
  hint,
  fault,
  value,
  change,
  rows = 4,
}: Frame & { value: string; change: (value: string) => void; rows?: number }) {
  return (
    <Field label={label} {...(hint ? { hint } : {})} fault={fault}>
      {(tied) => (
        <textarea
          class="input"
          rows={rows}
          value={value}
          {...tied}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** A choice of one. */
export function ChoiceField({
  label,
  hint,
  fault,
  value,
  change,
  options,
}: Frame & { value: string; change: (value: string) => void; options: readonly (readonly [string, string])[] }) {
  return (
    <Field label={label} {...(hint ? { hint } : {})} fault={fault}>
      {(tied) => (
        <select class="input" {...tied} value={value} onChange={(event) => change(event.currentTarget.value)}>
          {options.map(([code, text]) => (
            <option key={code} value={code}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** All that is wrong with a form, above it; it takes the focus when it appears. */
export function FaultSummary({ faults }: { faults: readonly string[] }) {
  const summary = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (faults.length) summary.current?.focus();
  }, [faults]);
  if (!faults.length) return null;
  return (
    <div ref={summary} class="fault-summary" role="alert" tabIndex={-1}>
      <strong>{say("state.fields", { count: faults.length })}</strong>
      <ul>
        {faults.map((fault) => (
          <li key={fault}>{fault}</li>
        ))}
      </ul>
    </div>
  );
}
