"""Random spellings of JSON, and a slow reader that forgets nothing: what the tests of fhir_server.resource stand on."""

import json
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

BLANKS = " \t\r\n"
TRICKY = ["meta", "id", "resourceType", ":", '":', '"meta":', '{"meta":{}}', '\\"', "[]{}", "div", "é", "ệ", "😀", ""]


@dataclass
class Node:
    """A value with the text it was read from; members of an object are (name, spelling of the name, value)."""

    kind: str
    text: str
    members: tuple[tuple[str, str, "Node"], ...] = ()
    items: tuple["Node", ...] = ()


def read(text: str) -> Node:
    """Read a whole JSON text, character by character."""
    node, at = _read_value(text, _skip(text, 0))
    assert _skip(text, at) == len(text)
    return node


def tokens(text: str) -> str:
    """Take out the white space between the tokens."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda match: match[1] or "", text)


def has_repeated_member(node: Node) -> bool:
    names = [name for name, _, _ in node.members]
    inner = [value for _, _, value in node.members] + list(node.items)
    return len(set(names)) != len(names) or any(has_repeated_member(each) for each in inner)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _read_value(text: str, start: int) -> tuple[Node, int]:
    if text[start] == '"':
        end = _string_end(text, start)
        return Node("string", text[start:end]), end
    if text[start] == "[":
        return _read_array(text, start)
    if text[start] == "{":
        return _read_object(text, start)
    end = start
    while end < len(text) and text[end] not in BLANKS + ",]}":
        end += 1
    return Node("token", text[start:end]), end


def _string_end(text: str, at: int) -> int:
    at += 1
    while text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _read_array(text: str, start: int) -> tuple[Node, int]:
    items, at = [], _skip(text, start + 1)
    while text[at] != "]":
        item, at = _read_value(text, _skip(text, at + 1 if text[at] == "," else at))
        items.append(item)
        at = _skip(text, at)
    return Node("array", text[start : at + 1], items=tuple(items)), at + 1


def _read_object(text: str, start: int) -> tuple[Node, int]:
    members, at = [], _skip(text, start + 1)
    while text[at] != "}":
        at = _skip(text, at + 1 if text[at] == "," else at)
        end = _string_end(text, at)
        spelling = text[at:end]
        colon = _skip(text, end)
        assert text[colon] == ":"
        value, at = _read_value(text, _skip(text, colon + 1))
        members.append((json.loads(spelling), spelling, value))
        at = _skip(text, at)
    return Node("object", text[start : at + 1], members=tuple(members)), at + 1


blanks = st.text(BLANKS, max_size=2)
names = st.one_of(st.sampled_from(TRICKY), st.text(max_size=4))
numbers = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.from_regex(r"-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["-0", "0.0", "-0.0", "1.10", "1.00E-2", "-1e+245", "0.00001", "1e-7", "9007199254740993.0"]),
)


def _allowed(character: str) -> bool:
    return character >= " " or character in "\t\r\n"


@st.composite
def spelled_strings(draw: st.DrawFn, contents: st.SearchStrategy[str] = names) -> str:
    """A JSON string in one of its many spellings, without the control characters that FHIR forbids."""
    out = []
    for character in filter(_allowed, draw(contents)):
        canonical = json.dumps(character, ensure_ascii=False)[1:-1]
        unit = json.dumps(character)[1:-1]
        escaped = unit if unit.startswith("\\u") else f"\\u{ord(character):04x}"
        choices = [canonical, escaped, escaped.upper().replace("\\U", "\\u")]
        out.append(draw(st.sampled_from([*choices, "\\/"] if character == "/" else choices)))
    return f'"{"".join(out)}"'


NAMES = spelled_strings()


def _array(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda parts, blank: f"[{blank}{','.join(parts)}]",
        st.lists(st.builds(lambda a, item, b: a + item + b, blanks, items, blanks), max_size=3),
        blanks,
    )


def objects(values: st.SearchStrategy[str], spelled_names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[str]:
    """The text of an object, perhaps with repeated members."""
    member = st.builds(
        lambda a, name, b, c, value, d: f"{a}{name}{b}:{c}{value}{d}",
        blanks,
        spelled_names,
        blanks,
        blanks,
        values,
        blanks,
    )
    return st.lists(member, max_size=4).map(lambda parts: "{" + ",".join(parts) + "}")


scalars = st.one_of(numbers, spelled_strings(), st.sampled_from(["true", "false", "null"]))
texts = st.recursive(scalars, lambda inner: st.one_of(_array(inner), objects(inner)), max_leaves=8)


META_NAMES = spelled_strings(st.sampled_from(["versionId", "lastUpdated", "tag", "profile"]))


@st.composite
def resources(draw: st.DrawFn, *, repeated: bool = False) -> str:
    """The text of a resource: resourceType, id and meta anywhere or (the latter two) absent, other members around."""
    members = [("resourceType", '"Patient"')]
    if draw(st.booleans()):
        members.append(("id", draw(st.one_of(st.just('"a"'), spelled_strings(st.just("x/1"))))))
    if draw(st.booleans()):
        members.append(("meta", draw(objects(texts, META_NAMES))))
    others = draw(st.lists(names, unique=True, max_size=3))
    members += [(name, draw(texts)) for name in others if repeated or name not in ("resourceType", "id", "meta")]
    members = draw(st.permutations(members)) if draw(st.booleans()) else members
    parts = [
        "".join(
            (draw(blanks), draw(spelled_strings(st.just(name))), draw(blanks), ":", draw(blanks), value, draw(blanks))
        )
        for name, value in members
    ]
    return draw(blanks) + "{" + ",".join(parts) + "}" + draw(blanks)


def value_of(node: Node) -> Any:
    """What the node means, by the standard library."""
    return json.loads(node.text)
