// A table that is read as cards on a phone. Each row leads somewhere by its first cell.

import type { ComponentChildren } from "preact";

export interface Column<R> {
  readonly label: string;
  readonly cell: (row: R) => ComponentChildren;
}

interface Props<R> {
  readonly caption: string;
  readonly columns: readonly Column<R>[];
  readonly rows: readonly R[];
  readonly keyOf: (row: R) => string;
}

export function Table<R>({ caption, columns, rows, keyOf }: Props<R>) {
  return (
    <table class="table">
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.label} scope="col">
              {column.label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map((column, at) => (
              <td key={column.label} {...(at ? { "data-label": column.label } : { class: "lead" })}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
