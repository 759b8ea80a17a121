"""The store alone, as its file grows: writes, updates, reads and searches per CPU-second on generated resources."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure
from fhir_server.search.plan import And, Chain, Ids, Include, Plan, Referrer, Row, Sort, Test
from fhir_server.search.row import Row as IndexRow
from fhir_server.store.protocol import Change, Content, Numbered, Request
from fhir_server.store.sqlite.store import SqliteStore

CLIENTS = 16
SAMPLE = 2000
SEARCHES = 200
LONGEST = 3.0
RESOURCES = 100_000
FILLING = b'"text":{"status":"generated","div":"' + b"x" * 900 + b'"}'

PARAMETERS = {
    key: Numbered(key, 8 * number, kind)
    for number, (key, kind) in enumerate(
        {
            "Patient.identifier": "token",
            "Patient.family": "string",
            "Patient.given": "string",
            "Patient.name": "string",
            "Patient.birthdate": "date",
            "Patient.gender": "token",
            "Patient.address-city": "string",
            "Patient.organization": "reference",
            "Encounter.identifier": "token",
            "Encounter.subject": "reference",
            "Encounter.patient": "reference",
            "Encounter.status": "token",
            "Encounter.class": "token",
            "Encounter.date": "date",
            "Encounter.participant": "reference",
            "Encounter.service-provider": "reference",
            "Observation.identifier": "token",
            "Observation.subject": "reference",
            "Observation.patient": "reference",
            "Observation.encounter": "reference",
            "Observation.code": "token",
            "Observation.combo-code": "token",
            "Observation.category": "token",
            "Observation.status": "token",
            "Observation.date": "date",
            "Observation.value-quantity": "quantity",
            "Observation.code-value-quantity": "composite",
        }.items(),
        1,
    )
}
P = {key: parameter.number for key, parameter in PARAMETERS.items()}
DAY = 86_400_000
FAMILIES = "nguyen tran le pham hoang huynh phan vu vo dang bui do ho ngo duong ly".split()
GIVEN = [
    f"{first} {second}" for first in "an binh chi dung giang ha".split() for second in "hai lan minh nam oanh".split()
]
CITIES = [f"quan {n}" for n in range(300)]
LOINC, UCUM, TERMS = "http://loinc.org", "http://unitsofmeasure.org", "http://terminology.hl7.org/CodeSystem/"


class Generator:
    """Resources with rows like real ones: identifiers, dates and references at random, codes and names from lists."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made = 0
        self.patients = 0
        self.encounters = 0

    def __iter__(self) -> Iterator[Change]:
        while True:
            yield self.next()

    def next(self) -> Change:
        """One Patient, three Encounters, six Observations, again and again."""
        place = self.made % 10
        self.made += 1
        if place == 0:
            return self.patient()
        return self.encounter() if place < 4 else self.observation()

    def identifier(self) -> str:
        """Sixteen letters at random."""
        return f"{self.random.getrandbits(64):016x}"

    def patient(self) -> Change:
        """Ten rows."""
        self.patients += 1
        family, given = self.random.choice(FAMILIES), self.random.choice(GIVEN)
        born = self.random.randrange(-20_000, 18_000) * DAY
        rows: list[IndexRow] = [
            (P["Patient.identifier"], self.identifier(), "urn:oid:1.2.3"),
            (P["Patient.identifier"], self.identifier(), "http://bhyt.vn"),
            (P["Patient.family"], family, family.title()),
            (P["Patient.given"], given, given.title()),
            (P["Patient.name"], family, family.title()),
            (P["Patient.name"], given, given.title()),
            (P["Patient.birthdate"], born, born + DAY),
            (P["Patient.gender"], self.random.choice(("male", "female")), "http://hl7.org/fhir/administrative-gender"),
            (P["Patient.address-city"], self.random.choice(CITIES), ""),
            (P["Patient.organization"], f"o{self.random.randrange(500)}", "Organization"),
        ]
        return change("Patient", f"p{self.patients}", rows)

    def encounter(self) -> Change:
        """Eight rows."""
        self.encounters += 1
        start = self.random.randrange(10_000, 20_000) * DAY + self.random.randrange(DAY)
        patient = f"p{self.random.randint(1, self.patients)}"
        rows: list[IndexRow] = [
            (P["Encounter.identifier"], self.identifier(), "urn:oid:1.2.4"),
            (P["Encounter.subject"], patient, "Patient"),
            (P["Encounter.patient"], patient, "Patient"),
            (P["Encounter.status"], "finished", "http://hl7.org/fhir/encounter-status"),
            (P["Encounter.class"], self.random.choice(("AMB", "IMP", "VR")), TERMS + "v3-ActCode"),
            (P["Encounter.date"], start, start + self.random.randrange(DAY)),
            (P["Encounter.participant"], f"d{self.random.randrange(3000)}", "Practitioner"),
            (P["Encounter.service-provider"], f"o{self.random.randrange(500)}", "Organization"),
        ]
        return change("Encounter", f"e{self.encounters}", rows)

    def observation(self) -> Change:
        """Twelve rows, one of them wide."""
        start = self.random.randrange(10_000, 20_000) * DAY + self.random.randrange(DAY)
        patient = f"p{self.random.randint(1, self.patients)}"
        code, value = f"{self.random.randrange(1000)}-1", round(self.random.gauss(100, 20), 1)
        rows: list[IndexRow] = [
            (P["Observation.identifier"], self.identifier(), "urn:oid:1.2.5"),
            (P["Observation.subject"], patient, "Patient"),
            (P["Observation.patient"], patient, "Patient"),
            (P["Observation.encounter"], f"e{self.random.randint(1, self.encounters)}", "Encounter"),
            (P["Observation.code"], code, LOINC),
            (P["Observation.combo-code"], code, LOINC),
            (
                P["Observation.category"],
                self.random.choice(("vital-signs", "laboratory")),
                TERMS + "observation-category",
            ),
            (P["Observation.status"], "final", "http://hl7.org/fhir/observation-status"),
            (P["Observation.date"], start, start + 1000),
            (P["Observation.value-quantity"], value, f"{UCUM}\x1fmg"),
            (P["Observation.value-quantity"] + 1, value / 1000, "g"),
            (P["Observation.code-value-quantity"], code, value, value, f"{LOINC}\x1f{UCUM}\x1fmg"),
        ]
        return change("Observation", f"b{self.made}", rows)


def change(kind: str, resource_id: str, rows: list[IndexRow]) -> Change:
    """A resource of about a thousand bytes."""
    before = f'{{"resourceType":"{kind}","id":"{resource_id}","meta":{{'.encode()
    return Change("PUT", kind, resource_id, Content(before, b"}," + FILLING + b"}"), rows)


def exactly(key: str, v: str | float, x: str) -> Row:
    """The predicate of a token or reference."""
    return Row(P[key], (Test("v", "=", v), Test("x", "=", x)))


def starting(key: str, text: str) -> Row:
    """The predicate of a string."""
    return Row(P[key], (Test("v", "starts", text),))


NEWEST = (Sort(numbers={"Observation": P["Observation.date"]}, descending=True),)
CATEGORY = exactly("Observation.category", "vital-signs", TERMS + "observation-category")


def searches(made: Generator) -> dict[str, Callable[[], Plan]]:
    """The forms of search that are measured, each with values at random."""
    chance = random.Random(7)

    def patient() -> str:
        return f"p{chance.randint(1, made.patients)}"

    def day() -> int:
        return chance.randrange(10_000, 20_000) * DAY

    def code() -> Row:
        return exactly("Observation.code", f"{chance.randrange(1000)}-1", LOINC)

    def of_patient(kind: str) -> Row:
        return exactly(f"{kind}.patient", patient(), "Patient")

    return {
        "id": lambda: Plan({"Patient": Ids((patient(),))}),
        "name": lambda: Plan({"Patient": starting("Patient.name", chance.choice(FAMILIES))}),
        "name-contains": lambda: Plan({"Patient": Row(P["Patient.name"], (Test("v", "contains", "inh"),))}),
        "birthdate": lambda: Plan({"Patient": Row(P["Patient.birthdate"], (Test("v", "<", day()),))}),
        "reference": lambda: Plan({"Observation": of_patient("Observation")}),
        "code": lambda: Plan({"Observation": code()}),
        "code-without-system": lambda: Plan({"Observation": Row(P["Observation.code"], (Test("v", "=", "7-1"),))}),
        "category": lambda: Plan({"Observation": CATEGORY}),
        "category-date": lambda: Plan(
            {"Observation": And((CATEGORY, Row(P["Observation.date"], (Test("x", ">", day()),))))}
        ),
        "date-ge": lambda: Plan({"Observation": Row(P["Observation.date"], (Test("x", ">", day()),))}),
        "patient-newest": lambda: Plan({"Observation": of_patient("Observation")}, NEWEST),
        "code-newest": lambda: Plan({"Observation": code()}, NEWEST),
        "category-newest": lambda: Plan({"Observation": CATEGORY}, NEWEST),
        "quantity": lambda: Plan({"Observation": Row(P["Observation.value-quantity"] + 1, (Test("v", ">", 0.15),))}),
        "composite": lambda: Plan(
            {
                "Observation": Row(
                    P["Observation.code-value-quantity"],
                    (Test("v", "=", "7-1"), Test("x", ">", 130), Test("y", ">", 130)),
                )
            }
        ),
        "chain": lambda: Plan(
            {
                "Observation": Chain(
                    P["Observation.subject"], (("Patient", exactly("Patient.identifier", "none", "http://bhyt.vn")),)
                )
            }
        ),
        "chain-wide": lambda: Plan(
            {"Encounter": Chain(P["Encounter.subject"], (("Patient", starting("Patient.family", "tran")),))}
        ),
        "has": lambda: Plan({"Patient": Referrer(P["Observation.subject"], "Observation", code())}),
        "include": lambda: Plan(
            {"Encounter": of_patient("Encounter")}, includes=(Include("Encounter", (P["Encounter.subject"],)),)
        ),
    }


@dataclass
class Growth:
    """A store that grows, and what was measured of it at a size."""

    store: SqliteStore
    made: Generator

    async def grow(self, resources: int) -> None:
        """Create resources, as 16 clients do."""
        source = iter(self.made)

        async def client(count: int) -> None:
            for _ in range(count):
                await self.store.commit(Request((next(source),)))

        await asyncio.gather(*(client(resources // CLIENTS) for _ in range(CLIENTS)))

    async def measure(self) -> dict[str, float]:
        """Microseconds of CPU of each operation at the present size."""
        spent = {"create": await self.timed(lambda: self.grow(SAMPLE), SAMPLE)}
        changed = [self.made.patient() for _ in range(SAMPLE)]
        ids = [f"p{self.made.random.randint(1, self.made.patients - SAMPLE)}" for _ in changed]
        updates = [change("Patient", i, list(c.rows)) for i, c in zip(ids, changed, strict=True)]

        async def update() -> None:
            for start in range(0, SAMPLE, CLIENTS):
                group = (self.store.commit(Request((c,))) for c in updates[start : start + CLIENTS])
                await asyncio.gather(*group)

        async def read() -> None:
            for resource_id in ids:
                await self.store.read("Patient", resource_id)

        spent["update"] = await self.timed(update, SAMPLE)
        spent["read"] = await self.timed(read, SAMPLE)
        for name, plan in searches(self.made).items():
            await self.store.run(plan(), 20)
            spent[f"search-{name}"] = await self.searched(plan)
        return spent

    async def searched(self, plan: Callable[[], Plan]) -> float:
        """Microseconds of CPU of a search: of many, but not for longer than a few seconds."""
        start, end = time.process_time(), time.monotonic() + LONGEST
        done = 0
        while done < SEARCHES and time.monotonic() < end:
            await self.store.run(plan(), 20)
            done += 1
        return (time.process_time() - start) / done * 1e6

    async def timed(self, work: Callable[[], Awaitable[None]], count: int) -> float:
        """Microseconds of this process's CPU for each of `count`."""
        start = time.process_time()
        await work()
        return (time.process_time() - start) / count * 1e6


async def grown(folder: Path, sizes: list[int], report: Callable[[int, dict[str, float], float], None]) -> None:
    """Measure a store at growing sizes."""
    store = SqliteStore(folder / "store.db")
    await store.number(PARAMETERS.values())
    growth = Growth(store, Generator(1))
    for size in sizes:
        start = time.process_time()
        before = growth.made.made
        await growth.grow(size - before)
        mean = (time.process_time() - start) / max(size - before, 1) * 1e6
        report(size, await growth.measure(), mean)
    await store.close()


def measure(shared: Path) -> list[Figure]:
    """Operations per CPU-second with 100,000 resources, and how the cost of a create grew since 10,000."""
    seen: dict[int, dict[str, float]] = {}

    def keep(size: int, spent: dict[str, float], mean: float) -> None:
        seen[size] = spent

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(grown(Path(folder), [RESOURCES // 10, RESOURCES], keep))
    spent = seen[RESOURCES]
    figures = [
        Figure(f"store-{name}", 1e6 / us, "per CPU-second") for name, us in spent.items() if "search" not in name
    ]
    found = [us for name, us in spent.items() if "search" in name]
    figures.append(Figure("store-search-median", 1e6 / statistics.median(found), "per CPU-second"))
    figures.append(Figure("store-create-growth", spent["create"] / seen[RESOURCES // 10]["create"], "times"))
    return figures


def main(sizes: list[int]) -> None:
    """Print microseconds of CPU at each size: `python -m bench.store 100000 1000000`."""

    def show(size: int, spent: dict[str, float], mean: float) -> None:
        print(f"{size:,} resources; create on the way here {mean:.0f} us")
        print("  " + ", ".join(f"{name} {us:.0f}" for name, us in spent.items()), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(grown(Path(folder), sizes, show))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]])
