from pathlib import Path

from dicom_bridge.process_lock import locking


def test_one_holds_it_until_it_ends(tmp_path: Path):
    with locking(tmp_path / "lock") as second:
        with locking(tmp_path / "lock") as first:
            assert first()
            assert first()
            assert not second()
        assert second()
