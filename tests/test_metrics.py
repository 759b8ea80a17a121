from prometheus_client.parser import text_string_to_metric_families

from fhir_server.interactions.routes import ROUTES
from fhir_server.metrics import ROWS, Board, Metrics

READ = next(route for route in ROUTES if route.interaction == "read")


def test_requests_are_counted_by_interaction_and_status():
    metrics = Metrics()
    for seconds in (0.0004, 0.0004, 0.02, 99.0):
        metrics.requests.observe(READ, 200, seconds)
    metrics.requests.observe(None, 404, 0.1)
    lines = metrics.text().decode().splitlines()

    def value(*parts: str) -> float:
        (line,) = (each for each in lines if all(part in each for part in parts))
        return float(line.rpartition(" ")[2])

    read = ('interaction="read"', 'status="200"')
    assert value("nhipcau_request_seconds_count", *read) == 4
    assert value("nhipcau_request_seconds_bucket", *read, 'le="0.001"') == 2
    assert value("nhipcau_request_seconds_bucket", *read, 'le="0.025"') == 3
    assert value("nhipcau_request_seconds_bucket", *read, 'le="+Inf"') == 4
    assert value("nhipcau_request_seconds_sum", *read) > 99
    assert value("nhipcau_request_seconds_count", 'interaction="none"', 'status="404"') == 1


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """The values of all samples by name and worker, those of one worker added up."""
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            key = (sample.name, sample.labels["worker"])
            found[key] = found.get(key, 0.0) + sample.value
    return found


def test_each_worker_tells_what_all_have_counted():
    board = Board(3)
    first, second = Metrics(board, 0), Metrics(board, 2)
    first.requests.observe(READ, 200, 0.1)
    second.requests.observe(READ, 200, 0.1)
    second.requests.observe(None, 404, 0.1)
    found = samples(first)
    assert found.keys() == samples(second).keys()
    assert found["nhipcau_request_seconds_count", "0"] == 1
    assert found["nhipcau_request_seconds_count", "2"] == 2
    assert ("nhipcau_request_seconds_count", "1") not in found
    assert found["process_resident_memory_bytes", "0"] > 0
    assert found["process_cpu_seconds_total", "2"] > 0


def test_a_worker_in_the_place_of_another_counts_on():
    board = Board(2)
    Metrics(board, 1).requests.observe(READ, 200, 0.1)
    again = Metrics(board, 1)
    again.requests.observe(READ, 200, 0.1)
    again.requests.observe(READ, 404, 0.1)
    assert samples(again)["nhipcau_request_seconds_count", "1"] == 3


def test_more_kinds_of_answers_than_there_is_room_for_do_not_fail():
    metrics = Metrics()
    for status in range(1, ROWS + 10):
        metrics.requests.observe(READ, status, 0.1)
    assert samples(metrics)["nhipcau_request_seconds_count", "0"] == ROWS
