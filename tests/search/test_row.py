from fhir_server.search.row import HEAVIEST_KEY, Memo, joined


def test_a_memo_forgets_everything_when_it_is_full():
    memo = Memo(most=2)
    for number in range(3):
        assert memo.keep(number, str(number)) == str(number)
    assert dict(memo) == {2: "2"}


def test_a_memo_does_not_keep_what_a_heavy_key_found():
    memo = Memo()
    memo.keep(("system", "x" * HEAVIEST_KEY), "found")
    memo.keep("x" * HEAVIEST_KEY, "found")
    assert not memo


def test_names_of_different_parts_differ():
    assert joined("a", "", "b") != joined("a", "b", "")
