"""JSON with a line for each member, every token as it stands (FHIR R4, 3.1.0.1.9 `_pretty`)."""

import re

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,:\[\]{}"]+|[\[\]{},:]').findall


def indented(raw: bytes) -> bytes:
    """Return the same JSON in lines that can be read."""
    parts: list[bytes] = []
    line = b"\n"
    tokens = _TOKEN(raw)
    for token, after in zip(tokens, [*tokens[1:], b""], strict=True):
        if token in (b"{", b"["):
            line += b"  "
            parts += (token,) if after in (b"}", b"]") else (token, line)
        elif token in (b"}", b"]"):
            line = line[:-2]
            parts += (token,) if parts[-1] in (b"{", b"[") else (line, token)
        else:
            parts.append(token)
            if token == b",":
                parts.append(line)
            elif token == b":":
                parts.append(b" ")
    return b"".join(parts)
