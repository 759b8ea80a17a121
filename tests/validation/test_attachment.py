"""Attachments: data, size and hash agree."""

import pytest

from tests.validation.profiled import resource
from tests.validation.verdict import errors, is_refused, only_full

HELLO = "SGVsbG8="
HASH = "9/+ei3uy4Jtwk1pdeF4MxdnQq/A="


def photo(**members):
    return resource("Patient", photo=[{"contentType": "text/plain", **members}])


@pytest.mark.parametrize(
    "members",
    [{"data": HELLO}, {"data": HELLO, "size": 5}, {"data": HELLO, "hash": HASH}, {"url": "https://a.test", "size": 9}],
)
def test_right(members):
    assert errors(photo(**members)) == []


@pytest.mark.parametrize(
    "members",
    [
        {"data": HELLO, "size": 6},
        {"data": HELLO, "hash": "AAAA"},
        {"data": "SGVs bG8="},
        {"data": "SGVs\nbG8=", "size": 5},
        {"data": HELLO, "hash": "SGVs bG8="},
    ],
)
def test_wrong(members):
    assert len(only_full(photo(**members))) == 1


def test_data_that_is_no_base64_is_refused():
    assert is_refused(photo(data="SGVsbG8"))


def test_white_space_is_allowed_in_base64_that_is_no_attachment():
    assert errors(resource("Binary", contentType="text/plain", data="SGVs bG8=")) == []
