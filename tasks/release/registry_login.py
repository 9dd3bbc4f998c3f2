"""Logging in to a registry outside of the cluster, in the way that it asks for.

A registry answers 401 with a challenge (RFC 9110, section 11.6.1): ``Basic``, or ``Bearer`` with the address of a
service that gives tokens (the distribution project's token authentication specification). What opens it is
``KUBEV6_REGISTRY_USER`` with its password, else what `docker login` has left for that host.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import docker.auth
import docker.errors
import requests
import requests.auth
import requests.utils
from urllib3.connection import port_by_scheme

from configs.errors import ConfigError, KubeV6Error
from tasks import bounded
from tasks.http_session import Session
from tasks.secrets import REGISTRY_PASSWORD, hide, remember, secret

USER = "KUBEV6_REGISTRY_USER"
TIMEOUT = (10, 30)
SECONDS = 60.0
"""For a token, whatever trickles in."""
TOKEN = 1 << 20
"""Bytes of what a service answers that gives tokens; a long one has some KiB."""


class RefusedError(KubeV6Error):
    """A registry does not let us do what we asked for.

    Args:
        message: What was seen, one line.
        status: The status that it answered.
        todo: What to do next.
    """

    def __init__(self, message: str, status: int, *, todo: str = "") -> None:
        super().__init__(message, todo=todo)
        self.status = status


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a registry.

    Attributes:
        user: The name; empty with a token.
        password: The password; empty with a token.
        token: What some registries give for a password (``identitytoken`` in Docker's configuration).
        source: Where it was found.
    """

    user: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    source: str


def login_for(host: str) -> Login | None:
    """Who we are to a registry; None when nobody has said.

    Args:
        host: Its host, with the port where that is not the usual one.

    Raises:
        ConfigError: Only half of a login is given, or what `docker login` has left cannot be used.
    """
    user, password = os.environ.get(USER, ""), secret(REGISTRY_PASSWORD) or ""
    if user and password:
        return Login(user, password, "", USER)
    if user or password:
        given, missing = (USER, f"{REGISTRY_PASSWORD}_FILE") if user else (REGISTRY_PASSWORD, USER)
        raise ConfigError(f"{given} is set and {missing} is not", todo="set both or none of them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a credential helper that is not there, which the error names
            found = docker.auth.load_config().resolve_authconfig(host)
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise ConfigError(
            f"Docker's login for {host} cannot be used ({_docker_configuration()}): {hide(str(error))}",
            todo=f"docker login {host}",
        ) from None
    if not found:
        return None
    # The file has the names in small letters, a credential helper not.
    has = {name.lower(): value or "" for name, value in found.items()}
    user, password, token = (has.get(name, "") for name in ("username", "password", "identitytoken"))
    login = Login(user, password, token, _docker_configuration())
    remember(login.password)
    remember(login.token)
    return login if login.token or login.user else None


class RegistryLogin(requests.auth.AuthBase):
    """What requests sends along to one registry, and to nobody else that it is redirected to.

    It is asked for only when the registry wants it, and holds for all that is sent from then on. May be used by
    several threads.

    Args:
        address: The registry, such as ``https://registry.example``.
    """

    def __init__(self, address: str) -> None:
        self.origin = _origin(address)
        self.host = urlsplit(address).netloc
        self._login: Login | None = None
        self._asked = False
        self._asking = threading.Lock()
        self._basic = False
        self._scopes: dict[str, set[str]] = {}
        self._tokens: dict[str, str] = {}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Called by requests for everything that is about to be sent."""
        if _origin(str(request.url)) == self.origin:
            self._sign(request)
            request.register_hook("response", self._answered)  # type: ignore[no-untyped-call]
        return request

    def _sign(self, request: requests.PreparedRequest) -> None:
        repository = _repository(request)
        if self._basic and self._login:
            request.headers["Authorization"] = requests.auth._basic_auth_str(self._login.user, self._login.password)
        elif repository in self._tokens:
            request.headers["Authorization"] = f"Bearer {self._tokens[repository]}"

    def _answered(self, response: requests.Response, **how: Any) -> requests.Response:
        """Called by requests with every answer: what is refused is asked for once more, as the challenge says."""
        if response.status_code not in (401, 403) or _origin(response.url) != self.origin:
            return response
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        challenge = requests.utils.parse_dict_header(rest)  # type: ignore[no-untyped-call]
        wanted = scheme.lower()
        if response.status_code == 403 or wanted not in ("basic", "bearer"):
            raise self._refused(response)
        # One after the other, so that the token of a repository that is kept is the one for the most that was wanted.
        with self._asking:
            if not self._asked:
                self._login, self._asked = self._find(), True
            if wanted == "bearer":
                self._fetch_token(_repository(response.request), challenge)
            elif self._login is None or not self._login.user:
                raise self._refused(response)
            else:
                self._basic = True
        response.content  # noqa: B018 - read to its end, so that the connection is free again
        response.close()
        again = response.request.copy()
        again.deregister_hook("response", self._answered)  # type: ignore[no-untyped-call]
        if isinstance(vars(again)["_body_position"], int):  # a file, which has been read once
            requests.utils.rewind_body(again)
        self._sign(again)
        answer: requests.Response = response.connection.send(again, **how)
        answer.history.append(response)
        answer.request = again
        if answer.status_code in (401, 403):
            raise self._refused(answer)
        return answer

    def _find(self) -> Login | None:
        scheme, host, _ = self.origin
        login = login_for(self.host)
        if login and not _is_private(scheme, host):
            raise ConfigError(
                f"registry http://{self.host} wants a login, which would go there for everybody to read",
                todo="name it by https",
            )
        return login

    def _fetch_token(self, repository: str, challenge: dict[str, str]) -> None:
        """Get a token for what this challenge wants, and what others of the same repository have wanted."""
        realm = urlsplit(challenge.get("realm", ""))
        if not realm.hostname or not _is_private(realm.scheme, realm.hostname):
            seen = f"registry {self.host} sends us to {realm.netloc or 'nowhere'} for a token"
            raise RefusedError(f"{seen}, where a login would not be private", 401)
        scopes = self._scopes.setdefault(repository, set())
        scopes.update(challenge.get("scope", "").split())
        answer = _ask_for_token(realm, challenge.get("service", ""), sorted(scopes), self._login)
        if answer.status_code >= 500:
            seen = f"{realm.netloc}, which gives its tokens, answered {answer.status_code}"
            raise KubeV6Error(f"registry {self.host}: {seen}", transient=True)
        if answer.status_code != 200:
            raise self._refused(answer, f", as {realm.netloc} says")
        try:
            said = bounded.formed(answer.content, dict[str, Any])
            token = str(said.get("token") or said["access_token"])
            token.encode("ascii")  # else it can be no part of a header
        except (ValueError, KeyError):
            raise KubeV6Error(f"registry {self.host}: {realm.netloc} gave no token", transient=True) from None
        remember(token)
        self._tokens[repository] = token

    def _refused(self, response: requests.Response, by: str = "") -> RefusedError:
        login, status = self._login, response.status_code
        if login is None and not self._asked:
            return RefusedError(f"registry {self.host} does not allow it (it answered {status}){by}", status)
        if login is None:
            looked = f"{USER} is not set, and {_docker_configuration()} has none for it"
            todo = f"docker login {self.host}, or set {USER} and {REGISTRY_PASSWORD}_FILE"
            return RefusedError(f"registry {self.host} wants a login{by}: {looked}", status, todo=todo)
        who = f"{login.user or 'the token'} of {login.source}"
        return RefusedError(
            f"registry {self.host} refused {who} (it answered {status}){by}",
            status,
            todo="correct the password there, or let that user write",
        )


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ask_for_token(realm: SplitResult, service: str, scopes: list[str], login: Login | None) -> requests.Response:
    """Ask a service for a token: with one that `docker login` was given, with a password, or as anybody."""
    with Session(seconds=SECONDS, most=TOKEN) as session:
        session.trust_env = not is_loopback(realm.hostname or "")
        session.auth = _nobody  # else requests would take a login from netrc
        how: dict[str, Any] = {"timeout": TIMEOUT, "allow_redirects": False}  # nobody knows who is behind a redirect
        if login and login.token:
            grant = {"grant_type": "refresh_token", "refresh_token": login.token, "client_id": "kubev6"}
            return session.post(realm.geturl(), {**grant, "service": service, "scope": " ".join(scopes)}, **how)
        if login:
            how["auth"] = (login.user, login.password)
        return session.get(realm.geturl(), params={"service": service, "scope": scopes}, **how)


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing; without any, requests would take one from netrc."""
    return request


def _repository(request: requests.PreparedRequest) -> str:
    """What tokens are given for: ``/v2/NAME/blobs/...`` is about NAME."""
    return re.split("/(?:blobs|manifests|tags)/", urlsplit(str(request.url)).path.removeprefix("/v2/"))[0]


def _origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port: what credentials are for."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or port_by_scheme.get(parts.scheme, 0)


def _is_private(scheme: str, host: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def _docker_configuration() -> str:
    return f"{os.environ.get('DOCKER_CONFIG') or '~/.docker'}/config.json"
