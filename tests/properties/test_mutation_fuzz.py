from tests.conformance.mutation_fuzz import fault

SEEDS = range(100_000, 105_000)  # tests/conformance runs those below


def test_no_damaged_body_raises_anything_but_issues(shared):
    assert {seed: text for seed in SEEDS if (text := fault(shared, seed))} == {}
