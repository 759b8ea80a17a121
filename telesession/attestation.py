"""Which signatures under minutes hold: each Provenance against the Composition as it is now (RFC 7515)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fhir_server.part import Part
from telesession import vocabulary as words
from telesession.minutes import MODES, form, tokens_in
from telesession.vocabulary import Body, Json, objects, path_of


class Held(Protocol):
    """A signature that holds."""

    @property
    def header(self) -> Mapping[str, object]:
        """What it says of the signing."""
        ...

    @property
    def key(self) -> str:
        """The thumbprint of the key that made it."""
        ...


VERIFY: Part[Callable[[Json, str], Held | None]] = Part("fhir_server.signature:verify")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A signature: whose, in which role, when, as what version it was made; whether it holds, and by which key."""

    provenance: str
    role: str
    signer: str
    when: str
    version: str
    holds: bool
    key: str = ""


def verdicts(minutes: Body, trails: Sequence[Body]) -> Iterator[Verdict]:
    """Yield a verdict on each signature of these Provenances that is about these minutes."""
    for trail in trails:
        path = next((path_of(each) for each in objects(trail, "target") if _is_about(path_of(each), minutes)), None)
        if path is None:
            continue
        version = path.partition("/_history/")[2]
        agents = [role for each in objects(trail, "agent") for role in words.codes(each.get("role"), words.ROLE)]
        for signature, token in tokens_in(trail):
            said = (next(iter(agents), ""), path_of(signature.get("who")), str(signature.get("when", "")))
            held = VERIFY.load()(form(minutes), token)
            told = () if held is None else tuple(str(held.header.get(name)) for name in ("role", "signer", "sigT"))
            # What a Provenance says beside a good signature counts only as far as the signature says it too.
            is_sound = held is not None and told == said
            yield Verdict(str(trail.get("id", "")), *said, version, is_sound, held.key if held is not None else "")


def attested(minutes: Body, found: Sequence[Verdict], keys: Collection[str] = ()) -> frozenset[str]:
    """The modes of the attesters who have signed what the minutes say now, by one of these keys, or by any for none."""
    good = {(each.role, each.signer) for each in found if each.holds and (not keys or each.key in keys)}
    return frozenset(
        mode
        for each in objects(minutes, "attester")
        if (mode := str(each.get("mode"))) in MODES
        if (MODES[mode].role, path_of(each.get("party"))) in good
    )


def _is_about(path: str, minutes: Body) -> bool:
    return path.partition("/_history/")[0].endswith(f"Composition/{minutes.get('id')}")
