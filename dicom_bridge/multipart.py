"""Messages of several parts, read from pieces of any size and written piece by piece (RFC 2387; RFC 2046, 5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message

IS_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
IS_HEADER_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}").fullmatch
MOST_PADDING = 64
BLANKS = b" \t"
LINE = b"\r\n"


class MultipartError(ValueError):
    """The message is no multipart message; it says why."""


class TooManyParts(MultipartError):
    """The message has more parts, or longer headers, than are read."""


@dataclass(frozen=True, slots=True)
class PartBegun:
    """A part begins; the names of its headers are in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of the part."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part is complete."""


Event = PartBegun | Piece | PartEnded


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type in lower case, and its parameters as they were sent, their names in lower case."""

    name: str
    parameters: Mapping[str, str]


def media_type_of(text: str) -> MediaType:
    """Return what a header Content-Type, or one range of Accept, says (RFC 9110, 8.3.1)."""
    message = Message()
    message["content-type"] = " ".join(text.split())
    parameters = message.get_params(failobj=[], unquote=True)
    return MediaType(text.partition(";")[0].strip().lower(), {name.lower(): value for name, value in parameters[1:]})


def boundary_of(media_type: MediaType) -> bytes:
    """Return the boundary of a multipart media type; raise MultipartError where it has none that is sound."""
    boundary = media_type.parameters.get("boundary", "")
    if IS_BOUNDARY(boundary) is None:
        raise MultipartError("the media type names no boundary of 1 to 70 characters")
    return boundary.encode("ascii")


class MultipartReader:
    """Takes a message in pieces and gives what happens in it; it never holds more than headers, or one delimiter.

    What looks like a delimiter and is followed by neither its line's end nor `--` is data: images hold any bytes.
    """

    def __init__(self, boundary: bytes, *, most_parts: int = 10_000, header_bytes: int = 8_192) -> None:
        self._delimiter = LINE + b"--" + boundary
        # A delimiter at the very start has no line before it.
        self._buffer = bytearray(LINE)
        self._most_parts = most_parts
        self._header_bytes = header_bytes
        self._parts = 0
        self._step = self._preamble
        self._is_in_part = False
        self.is_complete = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what is known with these bytes; raise MultipartError where the message breaks its rules."""
        self._buffer += data
        while (found := self._step()) is not None:
            yield from found

    def close(self) -> None:
        """Raise MultipartError where the message has not come to its end."""
        if not self.is_complete:
            raise MultipartError("the message ends before its last boundary" if self._parts else "there is no boundary")

    def _preamble(self) -> tuple[Event, ...] | None:
        return self._until_delimiter(is_data=False)

    def _body(self) -> tuple[Event, ...] | None:
        return self._until_delimiter(is_data=True)

    def _until_delimiter(self, *, is_data: bool) -> tuple[Event, ...] | None:
        buffer, delimiter = self._buffer, self._delimiter
        at = buffer.find(delimiter)
        if at < 0:
            keep = len(delimiter) - 1
            return self._taken(len(buffer) - keep, is_data=is_data) if len(buffer) > keep else None
        if at > 0:
            return self._taken(at, is_data=is_data)
        following = self._after_delimiter()
        if following is None:
            return None
        if following < 0:
            return self._taken(1, is_data=is_data)
        return self._delimited(following)

    def _taken(self, length: int, *, is_data: bool) -> tuple[Event, ...]:
        piece = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return (Piece(piece),) if is_data else ()

    def _after_delimiter(self) -> int | None:
        """Where the line's end, or `--`, is behind a delimiter; -1 where it is none, None where that is not known."""
        buffer, at = self._buffer, len(self._delimiter)
        if buffer[at : at + 2] == b"--":
            return at
        end = at
        while end < len(buffer) and buffer[end] in BLANKS and end - at < MOST_PADDING:
            end += 1
        rest = bytes(buffer[end : end + 2])
        if rest == LINE:
            return end
        is_open = len(rest) < 2 and (LINE.startswith(rest) or (end == at and rest == b"-"))
        return None if is_open else -1

    def _delimited(self, following: int) -> tuple[Event, ...]:
        ended: tuple[Event, ...] = (PartEnded(),) if self._is_in_part else ()
        self._is_in_part = False
        is_last = self._buffer[following : following + 2] == b"--"
        # The line's end stays: with it, headers always end with an empty line, also where there are none.
        del self._buffer[:following]
        if is_last:
            self.is_complete = True
            self._step = self._epilogue
        else:
            self._parts += 1
            if self._parts > self._most_parts:
                raise TooManyParts(f"the message has more than {self._most_parts:,} parts")
            self._step = self._headers
        return ended

    def _headers(self) -> tuple[Event, ...] | None:
        end = self._buffer.find(LINE + LINE, 0, self._header_bytes + 4)
        if end < 0:
            if len(self._buffer) > self._header_bytes:
                raise TooManyParts(f"the headers of part {self._parts} are longer than {self._header_bytes:,} bytes")
            return None
        headers = headers_in(bytes(self._buffer[:end]), self._parts)
        # The last line's end may be that of the next delimiter, where a part is empty.
        del self._buffer[: end + 4]
        self._is_in_part = True
        self._step = self._body
        return (PartBegun(headers),)

    def _epilogue(self) -> None:
        self._buffer.clear()


def headers_in(text: bytes, part: int) -> dict[str, str]:
    """Return the headers of a part by their names in lower case (RFC 2046, 5.1; RFC 5322, 2.2)."""
    headers: dict[str, str] = {}
    for line in text.split(LINE):
        if not line:
            continue
        if line[:1] in (b" ", b"\t") and headers:
            name = next(reversed(headers))
            headers[name] += f" {line.strip().decode('latin-1')}"
            continue
        name_bytes, colon, value = line.partition(b":")
        if not colon or IS_HEADER_NAME(name_bytes) is None:
            raise MultipartError(f"part {part} has a header without a name")
        headers[name_bytes.decode("ascii").lower()] = value.strip().decode("latin-1")
    return headers


class MultipartWriter:
    """Gives the bytes around parts; `boundary` must not occur in them, so it is drawn at random."""

    def __init__(self, boundary: str, part_type: str) -> None:
        self._boundary = boundary.encode("ascii")
        self._begun = False
        self.media_type = f'multipart/related; type="{part_type}"; boundary={boundary}'

    def begin(self, headers: Mapping[str, str]) -> bytes:
        """The bytes before a part's content."""
        before = LINE if self._begun else b""
        self._begun = True
        lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
        return b"%s--%s\r\n%s\r\n" % (before, self._boundary, lines)

    def end(self) -> bytes:
        """The bytes after the last part."""
        return b"%s--%s--\r\n" % (LINE if self._begun else b"", self._boundary)
