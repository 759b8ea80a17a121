import json
from collections.abc import Mapping

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.terminology.local import LocalTerminology
from profiles.compile import FOLDER, compile_package, main, stale

PROSE = ("definition", "comment", "short", "requirements", "description", "copyright", "human", "text", "mapping")


@pytest.fixture(scope="module")
def tables(r4_core) -> Mapping[str, bytes]:
    return compile_package(r4_core)


@pytest.mark.shared
def test_compiling_twice_gives_the_same_bytes(tables, r4_core):
    assert compile_package(r4_core) == tables


@pytest.mark.shared
def test_every_record_is_one_line_of_key_tab_and_json(tables):
    for data in tables.values():
        for line in data.splitlines():
            key, _, record = line.partition(b"\t")
            assert key
            json.loads(record)


@pytest.mark.shared
def test_records_are_sorted_by_key(tables):
    for data in tables.values():
        keys = [line.partition(b"\t")[0] for line in data.splitlines()]
        assert keys == sorted(keys)


@pytest.mark.shared
def test_no_prose_is_carried_over(tables):
    for name in (
        "structures.tsv",
        "elements.tsv",
        "invariants.tsv",
        "value_sets.tsv",
        "concept_maps.tsv",
        "search_parameters.tsv",
    ):
        for line in tables[name].splitlines():
            assert not json.loads(line.partition(b"\t")[2]).keys() & set(PROSE)


@pytest.mark.shared
def test_every_required_binding_can_be_judged(tables):
    """By a compiled expansion, or by table or form; the one answer list of LOINC is not in the package."""
    known, untold = LocalTerminology(r4()), set()
    for line in tables["elements.tsv"].splitlines():
        binding = json.loads(line.partition(b"\t")[2]).get("binding", {})
        if binding.get("strength") == "required" and "valueSet" in binding:
            membership = known.membership(binding["valueSet"])
            if membership is None or (not membership.closed and membership.contains(None, "no such code") is None):
                untold.add(binding["valueSet"])
    assert {canonical.partition("|")[0] for canonical in untold} == {"http://loinc.org/vs/LL379-9"}


@pytest.mark.shared
def test_check_says_what_is_not_fresh(tables, r4_core, capsys):
    assert main([str(r4_core), "--check"]) == 0
    assert capsys.readouterr().out == "all tables are fresh\n"
    name = "compartments.tsv"
    assert stale({**tables, name: b"changed"}) == [name]
    assert stale({key: data for key, data in tables.items() if key != name}) == [name]


def test_the_tables_are_where_the_definitions_read_them():
    assert {file.name for file in FOLDER.iterdir()} == {
        "code_systems.tsv", "compartments.tsv", "concept_maps.tsv", "concepts.tsv", "elements.tsv", "expansions.tsv",
        "invariants.tsv", "search_parameters.tsv", "structures.tsv", "value_sets.tsv",
    }  # fmt: skip
