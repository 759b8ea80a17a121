from fhir_server.bulk.journal import Journal


def test_the_last_entry_of_a_name_is_kept(tmp_path):
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.keep("a", done=1)
        journal.keep("b", done=5)
        journal.keep("a", done=2)
        assert journal.entry("a") == {"done": 2}
    with Journal(path) as journal:
        assert (journal.entry("a"), journal.entry("b"), journal.entry("c")) == ({"done": 2}, {"done": 5}, {})


def test_a_line_that_was_cut_short_counts_for_nothing(tmp_path):
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.keep("a", done=1)
        journal.keep("a", done=2)
    path.write_bytes(path.read_bytes()[:-4])
    with Journal(path) as journal:
        assert journal.entry("a") == {"done": 1}
        journal.keep("a", done=3)
    with Journal(path) as journal:
        assert journal.entry("a") == {"done": 3}


def test_it_can_start_anew(tmp_path):
    with Journal(tmp_path / "journal") as journal:
        journal.keep("a", done=1)
        journal.forget()
        assert journal.entry("a") == {}
