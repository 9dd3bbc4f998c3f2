"""Logging in to Debian's docker-registry with passwords, and to one of the test's own that wants tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from configs.errors import ConfigError, KubeV6Error
from tasks import scope
from tasks.docker.pull import pull
from tasks.release import registry, registry_login, registry_tags
from tasks.release.fetch.fetch_image import fetch_image
from tasks.release.registry_client import session_with
from tasks.release.registry_login import RefusedError, RegistryLogin
from tasks.release.registry_tags import Pruned
from tasks.release.store import Store
from tasks.secrets import Secrets
from tasks.steps import Step
from tests.fakes import substitute
from tests.http_server import Answering, serving
from tests.integration.test_registry import registry_image
from tests.integration.test_registry_tags import registry_running, release

__all__ = ["registry_image"]
pytestmark = pytest.mark.usefixtures("own_data")
USER, PASSWORD = "ops", "hunter2-of-the-registry"


@pytest.fixture(autouse=True)
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Docker's configuration, empty; and nobody is in the environment."""
    for name in ("KUBEV6_REGISTRY_USER", "KUBEV6_REGISTRY_PASSWORD", "KUBEV6_REGISTRY_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    with scope.holding(Secrets()):
        yield tmp_path / "docker" / "config.json"


def as_ops(monkeypatch: pytest.MonkeyPatch, password: str = PASSWORD) -> None:
    monkeypatch.setenv("KUBEV6_REGISTRY_USER", USER)
    monkeypatch.setenv("KUBEV6_REGISTRY_PASSWORD", password)


def logged_in(configuration: Path, address: str, **entry: str) -> None:
    """What `docker login` writes."""
    given = entry or {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    configuration.write_text(json.dumps({"auths": {urlsplit(address).netloc: given}}))


@pytest.fixture(scope="module")
def with_password(registry_image: str) -> Iterator[str]:
    with registry_running(registry_image, deletion=True, user=USER, password=PASSWORD) as address:
        yield address


def test_a_registry_with_passwords_is_filled_read_and_pruned(
    with_password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ops(monkeypatch)
    login, store = RegistryLogin(with_password), Store()
    old, new = release(store, "old"), release(store, "new")
    assert registry_tags.push_dated(old, store, with_password, "20260101", login).sent == 3
    assert registry_tags.push_dated(new, store, with_password, "20260102", login).sent == 3
    assert registry_tags.is_newest(new, with_password, login)
    assert registry_tags.prune(["kube-proxy"], with_password, 1, (), login) == Pruned(1)


def test_what_docker_login_has_left_is_taken_by_us_and_by_the_engine(with_password: str, no_login: Path) -> None:
    store = Store()
    made = release(store, "docker-login")
    reference = f"{urlsplit(with_password).netloc}/kube-proxy:{made.images[0].tag}"
    with pytest.raises(KubeV6Error, match="no basic auth credentials") as refused:
        fetch_image(reference, store, None)
    assert refused.value.todo.startswith(f"docker login {urlsplit(with_password).netloc}")
    assert not refused.value.transient
    logged_in(no_login, with_password)
    assert registry.push(made, store, with_password, login=RegistryLogin(with_password)).sent == 3
    # It is no real image: the engine has read its manifest when it says so.
    assert "auth" not in pull(reference, Step("test", "pull"))


def test_a_login_that_is_missing_wrong_or_half_is_one_line(
    with_password: str, monkeypatch: pytest.MonkeyPatch, no_login: Path
) -> None:
    store = Store()
    made, host = release(store, "x"), urlsplit(with_password).netloc

    def refusal() -> KubeV6Error:
        with pytest.raises(KubeV6Error) as caught:
            registry.push(made, store, with_password, login=RegistryLogin(with_password))
        assert PASSWORD not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not caught.value.transient
        return caught.value

    missing = refusal()
    seen = f"registry {host} wants a login: KUBEV6_REGISTRY_USER is not set, and {no_login} has none for it"
    assert missing.message == seen
    assert missing.todo == f"docker login {host}, or set KUBEV6_REGISTRY_USER and KUBEV6_REGISTRY_PASSWORD_FILE"
    as_ops(monkeypatch, "wrong")
    assert refusal().message == f"registry {host} refused ops of KUBEV6_REGISTRY_USER (it answered 401)"
    monkeypatch.delenv("KUBEV6_REGISTRY_PASSWORD")
    assert refusal().message == "KUBEV6_REGISTRY_USER is set and KUBEV6_REGISTRY_PASSWORD_FILE is not"
    monkeypatch.delenv("KUBEV6_REGISTRY_USER")
    logged_in(no_login, with_password, auth=base64.b64encode(b"ops:wrong").decode())
    assert refusal().message == f"registry {host} refused ops of {no_login} (it answered 401)"
    logged_in(no_login, with_password, auth="!")
    assert refusal().message.startswith(f"Docker's login for {host} cannot be used ({no_login}): ")


def test_a_credential_helper_of_docker_s_is_asked_and_one_that_is_not_there_is_named(
    with_password: str, no_login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = urlsplit(with_password).netloc
    no_login.write_text(json.dumps({"credHelpers": {host: "kubev6-test"}}))
    store = Store()
    made = release(store, "helper")
    with pytest.raises(ConfigError, match=f"Docker's login for {host} cannot be used .*docker-credential-kubev6-test"):
        registry.push(made, store, with_password, login=RegistryLogin(with_password))
    answer = json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD})
    helper = tmp_path / "docker-credential-kubev6-test"
    helper.write_text(f"#!/bin/sh\ncat >/dev/null; echo '{answer}'\n")
    helper.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert registry.push(made, store, with_password, login=RegistryLogin(with_password)).sent == 3


@dataclass
class Asked:
    """What somebody was asked.

    Attributes:
        tokens: The scopes of each token that was given.
        strangers: The Authorization headers that came to the server elsewhere, which nobody has a login for.
    """

    tokens: list[list[str]] = field(default_factory=list)
    strangers: list[str | None] = field(default_factory=list)


class TokenRegistry(ThreadingHTTPServer):
    """A registry that wants tokens, the service that gives them, and a place elsewhere that it redirects to.

    Attributes:
        realm: Where it sends us for a token.
        elsewhere: Where it redirects to.
        slow: Seconds that a token for pulling alone takes, unless one for pushing is given meanwhile.
        pushing: Set when one for pushing was given.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.realm = f"{self.address}/token"
        self.elsewhere = ""
        self.slow = 0.0
        self.pushing = threading.Event()
        self.asked = Asked()
        self.received: dict[str, bytes] = {}


class _Answering(Answering):
    server: TokenRegistry
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = self.headers.get("Authorization")
        if url.path == "/elsewhere":
            self.server.asked.strangers.append(given)
            self.answer(401, WWW_Authenticate='Basic realm="give me all you have"')
        elif url.path == "/token":
            self._token(parse_qs(url.query or body.decode()), given)
        elif url.path.startswith("/v2/"):
            self._registry(url.path, body, (given or "").removeprefix("Bearer ").split("+"))
        else:
            self.answer(404)

    def _token(self, asked: dict[str, list[str]], given: str | None) -> None:
        right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        by_token = asked.get("refresh_token") == ["refresh-hunter2"] and asked["grant_type"] == ["refresh_token"]
        if given != f"Basic {right}" and not by_token:
            self.answer(401)
            return
        scopes = sorted({word for each in asked["scope"] for word in each.split()})
        if all(each.endswith(":pull") for each in scopes):
            self.server.pushing.wait(self.server.slow)
        self.server.asked.tokens.append(scopes)
        self.answer(200, json.dumps({"token": "+".join(scopes)}).encode())
        if any(each.endswith(",push") for each in scopes):
            self.server.pushing.set()

    def _registry(self, path: str, body: bytes, may: list[str]) -> None:
        repository, action = path.split("/")[2], "pull" if self.command in ("HEAD", "GET") else "pull,push"
        scope = f"repository:{repository}:{action}"
        if repository == "open":
            self.answer(307, Location=self.server.elsewhere)
        elif not any(each.startswith(f"repository:{repository}:") and action in each for each in may):
            challenge = f'Bearer realm="{self.server.realm}",service="test",scope="{scope}"'
            self.answer(401, WWW_Authenticate=challenge)
        elif self.server.elsewhere:
            self.answer(307, Location=self.server.elsewhere)
        elif self.command == "POST":
            self.answer(202, Location=f"{path}one?state=x")
        elif self.command == "PUT":
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.received[digest] = body
            self.answer(201, Docker_Content_Digest=digest)
        else:
            self.answer(404)

    do_GET = do_HEAD = do_POST = do_PUT = _any


@pytest.fixture
def with_tokens() -> Iterator[TokenRegistry]:
    with serving(TokenRegistry()) as server:
        yield server


def ask(server: TokenRegistry, method: str = "GET", repository: str = "a", **more: object) -> requests.Response:
    with session_with(server.address, RegistryLogin(server.address)) as session:
        return session.request(method, f"{server.address}/v2/{repository}/blobs/x", timeout=10, **more)  # type: ignore[arg-type]


def test_a_token_is_asked_for_once_for_each_thing_that_is_done_in_a_repository(
    with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_ops(monkeypatch)
    (tmp_path / "content").write_bytes(b"12345")
    where = f"{with_tokens.address}/v2"
    with session_with(where, RegistryLogin(with_tokens.address)) as session:
        for repository in ("a", "b"):
            for _ in range(3):
                assert session.head(f"{where}/{repository}/blobs/x", timeout=10).status_code == 404
        with (tmp_path / "content").open("rb") as content:
            content.seek(2)
            assert session.put(f"{where}/a/blobs/x", data=content, timeout=10).status_code == 201
        assert session.head(f"{where}/a/blobs/x", timeout=10).status_code == 404
    assert with_tokens.asked.tokens == [
        ["repository:a:pull"],
        ["repository:b:pull"],
        ["repository:a:pull", "repository:a:pull,push"],
    ]
    assert with_tokens.received == {f"sha256:{hashlib.sha256(b'345').hexdigest()}": b"345"}, (
        "a file is sent again from where it stood"
    )


def test_a_slow_token_for_less_does_not_take_the_place_of_one_for_more(
    with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ops(monkeypatch)
    with_tokens.slow = 0.5
    where = f"{with_tokens.address}/v2/a/blobs/x"
    with session_with(where, RegistryLogin(with_tokens.address), 2) as session, ThreadPoolExecutor(2) as both:
        answers = [both.submit(session.request, method, where, timeout=10) for method in ("HEAD", "PUT")]
        assert [each.result().status_code for each in answers] == [404, 201]
        given = len(with_tokens.asked.tokens)
        assert session.put(where, timeout=10).status_code == 201
    assert len(with_tokens.asked.tokens) == given, "the one that is kept is good for it"


def test_a_whole_release_goes_into_a_registry_that_wants_tokens(
    with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ops(monkeypatch)
    store = Store()
    made = release(store, "token")
    assert registry.push(made, store, with_tokens.address, login=RegistryLogin(with_tokens.address)).sent == 3
    assert made.images[0].digest in with_tokens.received


def test_a_token_of_docker_login_is_exchanged(with_tokens: TokenRegistry, no_login: Path) -> None:
    logged_in(no_login, with_tokens.address, identitytoken="refresh-hunter2")
    assert ask(with_tokens).status_code == 404
    assert with_tokens.asked.tokens == [["repository:a:pull"]]


def test_a_service_that_gives_no_token_is_named(with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    as_ops(monkeypatch, "wrong")
    host = urlsplit(with_tokens.address).netloc
    with pytest.raises(RefusedError) as caught:
        ask(with_tokens)
    said = f"registry {host} refused ops of KUBEV6_REGISTRY_USER (it answered 401), as {host} says"
    assert caught.value.message == said


def test_a_login_goes_nowhere_but_to_its_registry(with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    as_ops(monkeypatch)
    with_tokens.elsewhere = f"http://localhost:{with_tokens.server_address[1]}/elsewhere"
    with session_with(with_tokens.address, RegistryLogin(with_tokens.address)) as session:
        for repository in ("a", "open", "a"):  # with a token that was just got, without any, with the one from before
            answer = session.get(f"{with_tokens.address}/v2/{repository}/blobs/x", timeout=10)
            assert answer.status_code == 401
            assert answer.url == with_tokens.elsewhere
    assert with_tokens.asked.strangers == [None] * 3, "neither the token nor, though asked for it, the password"


@pytest.mark.parametrize("realm", ["http://192.0.2.1/token", "ftp://127.0.0.1/token", "", "nonsense"])
def test_a_login_goes_to_no_service_where_everybody_could_read_it(
    with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch, realm: str
) -> None:
    as_ops(monkeypatch)
    with_tokens.realm = realm
    with pytest.raises(RefusedError, match="for a token, where a login would not be private"):
        ask(with_tokens)


def test_a_login_goes_to_no_registry_without_encryption(
    with_tokens: TokenRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ops(monkeypatch)
    outside = RegistryLogin("http://registry.example")
    outside.origin = ("http", "127.0.0.1", with_tokens.server_address[1])
    substitute(monkeypatch, registry_login, "is_loopback", lambda _: False)
    with session_with(with_tokens.address, outside) as session, pytest.raises(ConfigError, match="name it by https"):
        session.get(f"{with_tokens.address}/v2/a/blobs/x", timeout=10)
    assert not with_tokens.asked.tokens
