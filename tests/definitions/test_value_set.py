from fhir_server.definitions.code_system import Designation
from fhir_server.definitions.value_set import Filter, Include, value_set_from


def test_includes_and_excludes_are_read():
    body = {"url": "u", "compose": {
        "include": [
            {"system": "s", "concept": [
                {"code": "a", "display": "A", "designation": [{"language": "vi", "value": "á"}]},
            ]},
            {"system": "t", "version": "1", "filter": [{"property": "p", "op": "=", "value": "v"}]},
        ],
        "exclude": [{"valueSet": ["v"]}],
    }}  # fmt: skip
    read = value_set_from(body)
    assert read.include == (
        Include("s", None, {"a": ("A", (Designation("vi", "á"),))}, (), ()),
        Include("t", "1", None, (Filter("p", "=", "v"),), ()),
    )
    assert read.exclude == (Include(None, None, None, (), ("v",)),)
    assert read.expansion is None


def test_groups_of_an_expansion_are_not_its_codes():
    group = {"display": "group", "contains": [{"system": "s", "code": "a"}]}
    inner = {"system": "s", "code": "c", "display": "C"}
    abstract = {"system": "s", "code": "b", "abstract": True, "contains": [inner]}
    read = value_set_from({"url": "u", "expansion": {"contains": [group, abstract]}})
    assert read.expansion == {("s", "a"): None, ("s", "c"): "C"}
