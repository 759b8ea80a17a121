from fhir_server.interactions.routes import ROUTES
from fhir_server.metrics import Metrics

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
