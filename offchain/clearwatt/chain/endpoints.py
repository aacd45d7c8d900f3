"""Several nodes behind one connection: one is asked at a time, and passed over for the next when it fails.

Which of them answers makes no difference to what is computed, since every computation refers to one block by
its hash: an endpoint that does not have this block says so, or is found out when the hash is checked.
"""

import logging
import time
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from clearwatt.errors import UserError

log = logging.getLogger(__name__)

TRIES = 3
"""Of a request, at least, over all endpoints."""

RETRY_SECONDS = 0.1
RETURN_SECONDS = 300.0
"""After so long the first endpoint is given another chance: the operator named it first for a reason."""

TRANSPORT_ERRORS = (OSError, JSONDecodeError, UnicodeDecodeError, Web3Exception)
"""What a connection raises when no answer came of it; requests' own errors are OSErrors."""


class Endpoints(JSONBaseProvider):
    """JSON-RPC over HTTP to the first of several addresses that answers.

    urls: in the order of preference. timeout: seconds that one answer may take.
    switches: how often another endpoint took over; whoever reads in several pieces compares it before and after.
    """

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        super().__init__()
        self.urls = tuple(urls)
        self.switches = 0
        self._current = 0
        self._switched = 0.0
        self._lines = [
            Web3.HTTPProvider(url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None)
            for url in urls
        ]

    @property
    def url(self) -> str:
        """The endpoint in use."""
        return self.urls[self._current]

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Raises what `requests` does when every endpoint has failed."""
        tries = max(len(self.urls), TRIES)
        for attempt in range(tries):
            try:
                return self._lines[self._current].make_request(method, params)
            except TRANSPORT_ERRORS as error:
                if attempt + 1 == tries or self._is_hopeless(error):
                    raise
                if not self.pass_over(transport_words(error)):
                    time.sleep(RETRY_SECONDS * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _is_hopeless(self, error: Exception) -> bool:
        """Whether trying the only endpoint again would not help: it is no address, or the node is too slow."""
        return len(self.urls) == 1 and isinstance(error, (ValueError, requests.ReadTimeout))

    def pass_over(self, why: str) -> bool:
        """Go on with the next endpoint. Returns whether there is one."""
        if len(self.urls) == 1:
            return False
        before = self.url
        self._use((self._current + 1) % len(self.urls))
        log.warning("endpoint %s is passed over for %s: %s", shown(before), shown(self.url), why)
        return True

    def use(self, url: str) -> None:
        """Go on with this endpoint."""
        if url != self.url:
            self._use(self.urls.index(url))

    def _use(self, index: int) -> None:
        self._current = index
        self._switched = time.monotonic()
        self.switches += 1

    def return_to_first(self) -> None:
        """Back to the preferred endpoint, when it has been left alone for long enough."""
        if self._current and time.monotonic() - self._switched > RETURN_SECONDS:
            self._use(0)


def shown(url: str) -> str:
    """The address as it may stand in a log: hosted nodes have their customers' keys in the path."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"


def transport_words(error: Exception) -> str:
    """The error in one line."""
    if type(error) is requests.ConnectionError:  # its own text is a nest of Python objects
        return "the connection failed"
    if isinstance(error, requests.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"  # its own text has the whole address in it
    return (str(error).splitlines() or [type(error).__name__])[0]


def split_urls(text: str | Sequence[str]) -> tuple[str, ...]:
    """Addresses that are separated by commas, or given one by one. Raises UserError if there is none."""
    given = [text] if isinstance(text, str) else text
    urls = tuple(url.strip() for part in given for url in part.split(","))
    if not any(urls):
        raise UserError("no Ethereum node answers at : no address is given")
    return urls
