import pytest

from fhir_server.definitions.registry import r4
from fhir_server.national.definition import InvalidView, read_view
from fhir_server.national.view import Runner, view_engine


@pytest.fixture(scope="module")
def engine():
    return view_engine(r4())


def view(*selects, resource="Patient", **more):
    return {"resource": resource, "select": list(selects), **more}


def column(name, path, **more):
    return {"name": name, "path": path, **more}


PATIENT = {
    "resourceType": "Patient",
    "id": "an",
    "name": [{"family": "Nguyễn", "given": ["An", "Bình"]}, {"family": "Trần"}],
}


def rows(engine, body, resource=PATIENT):
    return Runner(engine, read_view(engine, body)).rows(resource)


def test_a_resource_of_another_type_has_no_rows(engine):
    assert rows(engine, view({"column": [column("id", "id")]}), {"resourceType": "Device", "id": "d"}) == []


def test_loops_that_stand_beside_each_other_multiply(engine):
    body = view(
        {"forEach": "name", "column": [column("family", "family")]},
        {"forEach": "name.given", "column": [column("given", "$this")]},
    )
    assert [(row["family"], row["given"]) for row in rows(engine, body)] == [
        ("Nguyễn", "An"), ("Nguyễn", "Bình"), ("Trần", "An"), ("Trần", "Bình"),
    ]  # fmt: skip


def test_the_row_of_an_empty_loop_holds_nothing_but_its_number(engine):
    inner = {"forEachOrNull": "contact", "column": [column("n", "%rowIndex"), column("x", "'X'")]}
    assert rows(engine, view({"column": [column("id", "id")]}, inner)) == [{"id": "an", "n": 0, "x": None}]


def test_types_of_columns_come_from_the_definition_or_from_the_path(engine):
    columns = [column("a", "birthDate"), column("b", "name.exists()"), column("c", "id", type="string"),
               column("d", "extension.value")]  # fmt: skip
    found = read_view(engine, view({"column": columns})).columns
    assert [each.type for each in found] == ["date", "boolean", "string", ""]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], "ViewDefinition"),
        (view(resource="Patiënt"), "ViewDefinition.resource"),
        (view(), "ViewDefinition.select"),
        (view({}), "ViewDefinition.select[0]"),
        (view({"column": [column("a b", "id")]}), "ViewDefinition.select[0].column[0]"),
        (view({"column": [column("a", "id"), column("a", "id")]}), "ViewDefinition.select"),
        (view({"column": [column("a", "name.(")]}), "ViewDefinition.select[0].column[0].path"),
        (view({"column": [column("a", "%nobody")]}), "ViewDefinition.select[0].column[0].path"),
        (view({"forEach": "name", "repeat": ["name"], "column": []}), "ViewDefinition.select[0]"),
        (view({"column": [column("a", "id")]}, where=[{"path": "id"}]), "ViewDefinition.where[0].path"),
        (view({"column": [column("a", "id")]}, constant=[{"name": "c", "valueHumanName": {}}]),
         "ViewDefinition.constant[0]"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_with_its_place(engine, body, where):
    with pytest.raises(InvalidView) as refused:
        read_view(engine, body)
    assert refused.value.issues[0].expression == (where,)


def test_several_values_need_a_collection(engine):
    with pytest.raises(InvalidView, match="finds 2 values"):
        rows(engine, view({"column": [column("given", "name.given")]}))
    body = view({"column": [column("given", "name.given", collection=True)]})
    assert rows(engine, body) == [{"given": ["An", "Bình"]}]


def test_loops_cannot_multiply_without_end(engine):
    many = {"resourceType": "Patient", "id": "a", "name": [{"family": str(n)} for n in range(400)]}
    loops = [{"forEach": "name", "column": [column(f"f{n}", "family")]} for n in range(2)]
    with pytest.raises(InvalidView, match="rows"):
        rows(engine, view(*loops), many)


def test_a_repeat_that_leads_to_itself_ends(engine):
    body = view({"repeat": ["$this"], "column": [column("id", "id")]})
    assert rows(engine, body) == []
