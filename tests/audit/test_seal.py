"""The first entry that is not as it was made is found, whoever changed it and however."""

import asyncio

import orjson
import pytest
from joserfc.jwk import OKPKey

from fhir_server.audit import seal
from fhir_server.audit.seal import checkpoint, last_sealed, removal, verify
from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Recorded, Stretch, chained

KEY, OTHER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")


class Ledger:
    """Entries in memory, with checkpoints among them."""

    def __init__(self) -> None:
        self.digests = [FIRST_DIGEST]
        self.entries: list[Recorded] = []
        self.removed = 0

    def add(self, text: bytes) -> None:
        self.digests.append(chained(self.digests[-1], text))
        self.entries.append(Recorded(len(self.entries) + 1, text, self.digests[-1][:MARK_BYTES]))

    def seal(self, behind: int = 0, key: OKPKey = KEY) -> None:
        number = len(self.entries) - behind
        self.add(checkpoint(number, self.digests[number], 0, key))

    def renewed(self, texts: list[bytes]) -> None:
        """All entries with other texts, chained as if they had always been so."""
        self.digests, self.entries = [FIRST_DIGEST], []
        for text in texts:
            self.add(text)

    async def read(self, after: int, limit: int) -> Stretch:
        after = max(after, self.removed)
        found = tuple(self.entries[after : after + limit])
        return Stretch(self.digests[after], found, self.digests[after + len(found)])


@pytest.fixture
def ledger(monkeypatch) -> Ledger:
    """Twenty entries and two checkpoints, at 11 and 22."""
    monkeypatch.setattr(seal, "AT_ONCE", 4)
    made = Ledger()
    for n in range(20):
        made.add(orjson.dumps({"k": "R", "n": n}))
        if n in (9, 19):
            made.seal(behind=0 if n == 9 else 2)
    return made


def verdict(ledger: Ledger, outside: dict[int, str] | None = None, key: OKPKey = KEY) -> seal.Verdict:
    return asyncio.run(verify(ledger.read, key, outside or {}))


def test_a_sound_ledger_is_whole(ledger):
    found = verdict(ledger, {11: ledger.digests[11].hex()})
    assert (found.entries, found.checkpoints, found.sealed, found.first_wrong) == (22, 2, 19, None)
    assert found.digest == ledger.digests[-1]


@pytest.mark.parametrize("number", [1, 5, 12, 21])
def test_an_altered_text_is_named(ledger, number):
    entry = ledger.entries[number - 1]
    ledger.entries[number - 1] = entry._replace(text=entry.text.replace(b"R", b"C"))
    found = verdict(ledger)
    assert (found.first_wrong, found.problem) == (number, seal.ALTERED)


@pytest.mark.parametrize("number", [1, 7, 21])
def test_a_missing_entry_is_named(ledger, number):
    del ledger.entries[number - 1]
    found = verdict(ledger)
    assert found.first_wrong == number


def test_who_chains_everything_anew_is_found_at_the_next_checkpoint(ledger):
    texts = [entry.text for entry in ledger.entries]
    texts[13] = texts[13].replace(b"R", b"C")
    ledger.renewed(texts)
    found = verdict(ledger)
    assert (found.first_wrong, found.problem, found.sealed) == (22, seal.CHANGED_BEFORE, 10)


def test_who_signs_with_another_key_is_found(ledger):
    texts = [entry.text for entry in ledger.entries][:10]
    ledger.renewed(texts)
    ledger.seal(key=OTHER)
    found = verdict(ledger)
    assert (found.first_wrong, found.problem) == (11, seal.UNSIGNED)


def test_who_takes_the_end_away_is_found_by_a_checkpoint_that_is_kept_outside(ledger):
    outside = {22: ledger.digests[22].hex()}
    ledger.renewed([entry.text for entry in ledger.entries][:10])
    assert verdict(ledger).first_wrong is None
    found = verdict(ledger, outside)
    assert (found.first_wrong, found.problem) == (11, seal.MISSING_AT_THE_END)


def test_who_takes_the_checkpoints_away_is_found_by_one_that_is_kept_outside(ledger):
    outside = {11: ledger.digests[11].hex()}
    texts = [entry.text for entry in ledger.entries if b"checkpoint" not in entry.text]
    ledger.renewed(texts)
    assert verdict(ledger).first_wrong is None
    assert verdict(ledger, outside).first_wrong == 11


def test_what_was_removed_and_answered_for_is_not_missing(ledger):
    sealed = asyncio.run(last_sealed(ledger.read, KEY, before=1))
    assert sealed is not None
    assert (sealed.number, sealed.digest) == (19, ledger.digests[19].hex())
    ledger.removed = 19
    assert (verdict(ledger).first_wrong, verdict(ledger).problem) == (20, seal.REMOVED)
    ledger.add(removal(sealed, 5, OTHER))
    assert verdict(ledger).problem == seal.UNSIGNED
    ledger.entries.pop()
    ledger.digests.pop()
    ledger.add(removal(sealed, 5, KEY))
    found = verdict(ledger, {11: "of what is removed", 19: ledger.digests[19].hex()})
    assert (found.entries, found.removed, found.first_wrong) == (23, 19, None)
    assert verdict(ledger, {19: "other"}).problem == seal.CHANGED_OUTSIDE
    ledger.removed = 20
    assert verdict(ledger).first_wrong is not None
    assert asyncio.run(last_sealed(ledger.read, KEY, before=1)) is None


def test_nothing_is_removed_that_was_changed_or_is_not_old_enough(ledger):
    assert asyncio.run(last_sealed(ledger.read, KEY, before=0)) is None
    entry = ledger.entries[4]
    ledger.entries[4] = entry._replace(text=entry.text.replace(b"R", b"C"))
    assert asyncio.run(last_sealed(ledger.read, KEY, before=1)) is None


def test_a_checkpoint_is_no_removal(ledger):
    text = ledger.entries[21].text
    ledger.removed = 19
    ledger.add(text.replace(b'"k":"checkpoint"', b'"k":"removal"'))
    assert verdict(ledger).problem == seal.UNSIGNED
