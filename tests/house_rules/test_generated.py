"""What is generated is what its generator writes today."""

import pytest

from profiles.compile import compile_package, stale


@pytest.mark.shared
def test_the_tables_of_r4_are_fresh(r4_core):
    assert stale(compile_package(r4_core)) == []
