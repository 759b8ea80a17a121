"""The page about the telehealth profiles, made of their definitions: `python -m profiles.guide [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_server.package import read_package

Json = Mapping[str, Any]

FOLDER = Path(__file__).parent / "telehealth"
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "telehealth-profiles.md"
OPENING = """\
# Telehealth profiles

<!-- Made by `python -m profiles.guide` from profiles/telehealth: change those. -->

What consultations write is plain FHIR R4. These profiles say what of it others can rely on. They derive from FHIR
itself, so that they hold with or without a core guide of Viet Nam; a resource may claim one of each. Every server
of Nhịp Cầu has them, names them in its CapabilityStatement (`rest.resource.supportedProfile`), and shows their
codes in Vietnamese and English (`CodeSystem/$lookup`). `make package` makes `build/nhipcau.telehealth.tgz`, a FHIR
package (`nhipcau.telehealth`, depends on `hl7.fhir.r4.core` 4.0.1) with snapshots and the examples; `nhipcau
package build FOLDER --output FILE` makes one of any folder of definitions with a `package.json`.

An element that is listed is one that a receiver must be able to process (mustSupport). `1..` is demanded; `in`
means by codes of that value set alone.
"""


def page() -> str:
    """The text of the page."""
    bodies = list(read_package(FOLDER))
    profiles = [each for each in bodies if each.get("kind") == "resource"]
    extensions = [each for each in bodies if each.get("kind") == "complex-type"]
    systems = [each for each in bodies if each["resourceType"] == "CodeSystem"]
    examples = {each["meta"]["profile"][0]: each for each in read_package(FOLDER / "examples")}
    lines = [OPENING, "## Profiles", ""]
    for each in profiles:
        lines += [*profile_part(each, examples[each["url"]]), ""]
    lines += ["## Extensions", "", "| extension | on | what |", "|---|---|---|"]
    for each in extensions:
        places = ", ".join(context["expression"] for context in each["context"])
        lines.append(f"| `{each['url']}` | {places} | {each['description']} |")
    lines += ["", "## Codes", ""]
    for each in systems:
        lines += [*codes_part(each), ""]
    return "\n".join(lines).rstrip() + "\n"


def profile_part(body: Json, example: Json) -> Iterator[str]:
    """What a profile demands, as a table."""
    yield f"### {body['title']}"
    yield ""
    yield f"`{body['url']}`, of {body['type']}. {body['description']}"
    yield ""
    yield "| element | how many | what |"
    yield "|---|---|---|"
    elements = body["differential"]["element"]
    for each in elements:
        if each.get("mustSupport"):
            yield f"| `{each['id'].partition('.')[2]}` | {how_many(each)} | {what(each, elements)} |"
    for rule in (rule for each in elements for rule in each.get("constraint", ())):
        weight = "" if rule["severity"] == "error" else " (warning)"
        yield f"| rule `{rule['key']}` | | {rule['human']}{weight} |"
    yield ""
    yield f"Example: `profiles/telehealth/examples/{example['resourceType']}-{example['id']}.json`."


def how_many(element: Json) -> str:
    """The cardinality as far as the profile changes it."""
    low, high = element.get("min"), element.get("max")
    return "" if low is None and high is None else f"{low or 0}..{high or ''}"


def what(element: Json, elements: list[Json]) -> str:
    """What an element is, in a few words."""
    told = [element["short"]] if "short" in element else []
    if "binding" in element:
        told.append(f"in `{element['binding']['valueSet']}`")
    fixed = [each["fixedUri"] for each in elements if each["id"] == f"{element['id']}.system" and "fixedUri" in each]
    told += [f"system `{uri}`" for uri in fixed]
    for name in ("patternCoding", "patternCodeableConcept"):
        for coding in element[name].get("coding", [element[name]]) if name in element else ():
            told.append(f"`{coding['system']}#{coding['code']}`")
    for kind in element.get("type", ()):
        targets = [target.rpartition("/")[2] for target in kind.get("targetProfile", ())]
        told += [" or ".join(targets)] if targets else []
        told += [f"`{profile}`" for profile in kind.get("profile", ())]
    return "; ".join(told)


def codes_part(body: Json) -> Iterator[str]:
    """The codes of a code system, as a table."""
    yield f"### {body['title']}"
    yield ""
    yield f"`{body['url']}`. {body['description']}"
    yield ""
    yield "| code | tiếng Việt | English |"
    yield "|---|---|---|"
    for each in body["concept"]:
        yield f"| `{each['code']}` | {each['display']} | {each['designation'][0]['value']} |"


def main(arguments: list[str]) -> int:
    """Write the page; with --check, return 1 where it is not what would be written."""
    if "--check" in arguments:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
