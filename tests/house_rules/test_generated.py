"""What is generated is what its generator writes today."""

import pytest

from profiles import guide
from profiles.compile import compile_package, stale


@pytest.mark.shared
def test_the_tables_of_r4_are_fresh(r4_core):
    assert stale(compile_package(r4_core)) == []


def test_the_page_about_the_profiles_is_fresh():
    assert guide.PAGE.read_text(encoding="utf-8") == guide.page()
    assert guide.main(["--check"]) == 0
