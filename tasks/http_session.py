"""Sessions with HTTP servers of which none can keep us for ever, or send us more than we take.

The deadline is of a whole exchange, and the bound of all that comes in it, head and body: both are kept where the bytes
are read from the connection, so whatever is made of them later (chunks, headers, redirections) is within them. Nothing
is taken that is compressed: nobody asks for that, and a few bytes of it come to gigabytes.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tasks.bounded import Bound

ANSWER = 64 << 20
"""Bytes of an answer: a list of a million tags has half of that, and what a Prefect server tells at a time far less."""
SLOWEST = 1 << 14
"""Bytes a second that a server has to take of what we send: the deadline is put off for each of them."""


class UnusableError(requests.RequestException):
    """An answer that came, and of which no use is made; says why, to be read after the address."""


class Session(requests.Session):
    """A session that is for one server or a few.

    Args:
        seconds: How long an exchange may take, from the request to the end of the answer's body, besides the time for
            what is sent (:data:`SLOWEST`). The head of an answer has to come within the time that is allowed for
            silence (``timeout``).
        most: Bytes that an answer may have; :class:`tasks.bounded.TooMuchError` is raised of one that has more.
        parallel: How many connections are kept.
    """

    def __init__(self, *, seconds: float, most: int = ANSWER, parallel: int = 1) -> None:
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(_Limits(seconds, most), parallel))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer sends us; its body is of no use, so it is not read.

        Raises:
            UnusableError: To where it is not private any longer, or to nowhere.
        """
        try:
            if (target := super().get_redirect_target(resp)) is None:
                return None
            resp.close()
            to = urlsplit(urljoin(resp.url, target))
            named = bool(to.hostname) and to.port != 0
        except ValueError:
            named = False
        else:
            if resp.url.startswith("https:") and to.scheme != "https":
                seen = "is redirected from https to an address without it, where anybody on the way could change it"
                raise UnusableError(seen)
        if not named:
            raise UnusableError("is redirected to something that is no address")
        return target


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: float
    most: int


class _Adapter(HTTPAdapter):
    def __init__(self, limits: _Limits, parallel: int) -> None:
        self._pools: dict[str, Any] = {
            "http": partial(_Pool, limits=limits),
            "https": partial(_SecurePool, limits=limits),
        }
        super().__init__(pool_connections=1, pool_maxsize=parallel)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # those have connections of their own
            manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **kwargs: Any) -> Any:
        answer = super().send(request, stream, *args, **kwargs)
        if not stream and answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            answer.close()
            raise UnusableError("comes compressed, which nobody has asked for")
        return answer


class _Wire(io.RawIOBase):
    """What a connection brings of one answer, as long as it may take and as much as it may be."""

    def __init__(self, connection: socket.socket, until: float, most: int) -> None:
        self._connection = connection
        self._file: Any = connection.makefile("rb", buffering=0)
        self._silence = connection.gettimeout() or math.inf
        self._bound = Bound(most, "the answer")
        self._until = until
        self.until = min(until, time.monotonic() + self._silence)

    def head_is_read(self) -> None:
        self.until = self._until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer does not end")
        self._connection.settimeout(min(left, self._silence))
        count = self._file.readinto(buffer)
        self._bound.count(count or 0)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Watched:
    """A connection of which nothing is wanted but a file to read from (:class:`http.client.HTTPResponse`)."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(self._wire, 1 << 16)


class _Ending:
    """What is added to a connection of urllib3's: deadline and bound of every exchange."""

    limits: _Limits

    def connect(self) -> None:
        self._begin()
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._begin()
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if time.monotonic() > self._until:
            raise TimeoutError("what is sent is not taken")
        super().send(data)  # type: ignore[misc]
        self._until += len(data) / SLOWEST

    def response_class(self, connection: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        self._wire = _Wire(connection, self._until, self.limits.most)
        watched: Any = _Watched(self._wire)
        return http.client.HTTPResponse(watched, *args, **kwargs)

    def getresponse(self) -> Any:
        answer = super().getresponse()  # type: ignore[misc]
        self._wire.head_is_read()
        return answer

    def _begin(self) -> None:
        self._until = time.monotonic() + self.limits.seconds


class _Connection(_Ending, HTTPConnection):  # type: ignore[misc]
    pass


class _SecureConnection(_Ending, HTTPSConnection):  # type: ignore[misc]
    pass


class _Limiting:
    """What is added to a pool of them."""

    def __init__(self, *args: Any, limits: _Limits, **kwargs: Any) -> None:
        self._limits = limits
        super().__init__(*args, **kwargs)

    def _new_conn(self) -> Any:
        made = super()._new_conn()  # type: ignore[misc]
        made.limits = self._limits
        return made


class _Pool(_Limiting, HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(_Limiting, HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
