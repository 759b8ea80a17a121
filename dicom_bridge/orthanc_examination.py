"""What an Orthanc is, asked once: what will not work with it is told before somebody misses it."""

from __future__ import annotations

from collections.abc import Iterator

from orthanc_api_client import OrthancApiClient
from orthanc_api_client.exceptions import OrthancApiException

from dicom_bridge.orthanc import Account

SECONDS = (2.0, 10.0)
OLDEST = (1, 10, 1)


def examined(account: Account) -> Iterator[str]:
    """Yield what is wrong with an Orthanc; nothing where all is well."""
    client = OrthancApiClient(account.url, user=account.user, pwd=account.password)
    try:
        # The client's own calls wait for ever, and some answer None for what they could not read.
        told = client.get_json("/system", timeout=SECONDS)
    except (OrthancApiException, AttributeError, ValueError) as failure:
        yield f"Orthanc does not answer as it should: {type(failure).__name__}."
        return
    finally:
        client.close()
    version = str(told.get("Version", ""))
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    if numbers and numbers < OLDEST:
        yield f"Orthanc {version} is older than {'.'.join(map(str, OLDEST))}, the oldest that is tested."
    if told.get("OverwriteInstances"):
        yield "OverwriteInstances is on: what others send can replace what is there."
