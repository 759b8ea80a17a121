// Messages of several parts, as frames of images come in (RFC 2046, 5.1; DICOM PS3.18, 8.6.1).

export interface Part {
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const RETURN = 13;
const BLANK_LINE = [13, 10, 13, 10];

/** The parts of a message with the media type that it was sent with; a message of another type is one part. */
export function partsOf(type: string, message: Uint8Array<ArrayBuffer>): Part[] {
  const boundary = /^multipart\/.*;\s*boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (!boundary) return [{ type, bytes: message }];
  const mark = [13, 10, ...new TextEncoder().encode(`--${boundary}`)];
  const found: Part[] = [];
  let head = mark.length - 2;
  while (head < message.length) {
    const start = find(message, BLANK_LINE, head);
    const end = start < 0 ? -1 : find(message, mark, start + BLANK_LINE.length);
    if (end < 0) break;
    const headers = new TextDecoder().decode(message.subarray(head, start));
    // A copy: each part is handed to another thread by itself.
    found.push({
      type: /^content-type:\s*(.+)$/im.exec(headers)?.[1]?.trim() ?? "",
      bytes: message.slice(start + BLANK_LINE.length, end),
    });
    head = end + mark.length;
  }
  return found;
}

function find(within: Uint8Array, wanted: readonly number[], from: number): number {
  for (let at = within.indexOf(RETURN, from); at >= 0; at = within.indexOf(RETURN, at + 1)) {
    if (wanted.every((byte, index) => within[at + index] === byte)) return at;
  }
  return -1;
}
