import io
import json
import logging

import pytest

from fhir_server.logs import configure, logger


@pytest.fixture
def log():
    kept = logging.root.handlers, logging.root.level
    stream = io.StringIO()
    configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.root.handlers, logging.root.level = kept


def test_each_event_is_a_line_of_json(log):
    logger().info("request", interaction="read", status=200)
    logging.getLogger("elsewhere").warning("%s happened", "it")
    first, second = log()
    assert (first["event"], first["interaction"], first["level"]) == ("request", "read", "info")
    assert (second["event"], second["level"]) == ("it happened", "warning")
    assert first["timestamp"].endswith("Z")


def test_a_fault_is_told_by_its_place_and_not_by_its_text(log):
    try:
        int("Nguyễn Thị Lan")
    except ValueError:
        logging.getLogger("fhir_server").exception("failed")
    (line,) = log()
    assert line["fault"] == ["ValueError"]
    assert "test_logs.py" in line["frames"][-1]
    assert "Lan" not in json.dumps(line, ensure_ascii=False)
