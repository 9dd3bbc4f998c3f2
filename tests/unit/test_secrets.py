"""Where secrets come from, which sources are refused, and that they are not told."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, KubeV6Error
from flows.run import secret_blocks
from flows.run.redaction import hide_in, hide_in_all
from kubev6.console import standard_error
from tasks import scope, secrets
from tasks.events import Bus, Event, StepEvent
from tasks.secrets import SUDO_PASSWORD, Secrets, hide, secret
from tasks.steps import step
from tests.fakes import substitute

FILE, BLOCK = f"{SUDO_PASSWORD}_FILE", f"{SUDO_PASSWORD}_BLOCK"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (SUDO_PASSWORD, FILE, BLOCK):
        monkeypatch.delenv(name, raising=False)
    with scope.holding(Secrets()):
        yield


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    monkeypatch.setenv(FILE, str(path))
    return path


def test_none_is_none() -> None:
    assert secret(SUDO_PASSWORD) is None


def test_the_environment_comes_before_the_file_and_that_before_what_was_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.hold(SUDO_PASSWORD, "of a block", "the block")
    file.write_text("of a file\n")
    assert secret(SUDO_PASSWORD) == "of a file"
    monkeypatch.setenv(SUDO_PASSWORD, "of the environment")
    assert secret(SUDO_PASSWORD) == "of the environment"
    monkeypatch.delenv(SUDO_PASSWORD)
    monkeypatch.delenv(FILE)
    assert secret(SUDO_PASSWORD) == "of a block"


def test_a_block_is_wanted_only_where_nothing_else_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLOCK, "ops")
    assert secrets.block_of(SUDO_PASSWORD) == "ops"
    with pytest.raises(ConfigError, match=r"names the block 'ops' of Prefect's, and nobody has read it"):
        secret(SUDO_PASSWORD)
    secrets.hold(SUDO_PASSWORD, "of a block", "the block")
    assert secrets.block_of(SUDO_PASSWORD) == ""
    monkeypatch.setenv(SUDO_PASSWORD, "of the environment")
    with scope.holding(Secrets()):
        assert secrets.block_of(SUDO_PASSWORD) == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_may_use_is_refused(file: Path, mode: int) -> None:
    file.write_text("right\n")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=rf"others may read {file} \({FILE}\): its mode is {mode:04o}; chmod 600"):
        secret(SUDO_PASSWORD)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"right\0", "holds more than one line of text"),
        (b"right\nand more\n", "holds more than one line of text"),
        (b"\xff\xfe", "holds no text"),
        (b"right" * 20_000, "has more than 64 KiB"),
    ],
)
def test_a_file_that_holds_no_password_is_refused(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        secret(SUDO_PASSWORD)
    assert "right" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_none_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(file.parent))
    with pytest.raises(ConfigError, match=f"{file.parent} \\({FILE}\\) is no file"):
        secret(SUDO_PASSWORD)
    file.unlink()
    monkeypatch.setenv(FILE, str(file))
    with pytest.raises(ConfigError, match=f"cannot read {file} \\({FILE}\\): No such file"):
        secret(SUDO_PASSWORD)


@pytest.mark.parametrize("value", [{"password": "right"}, 7])
def test_a_block_that_holds_more_than_a_text_is_refused(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    monkeypatch.setenv(BLOCK, "ops")
    substitute(monkeypatch, Secret, "load", lambda _: Secret(value=value))
    with pytest.raises(KubeV6Error, match=rf"the Secret block ops \({BLOCK}\) holds no text"):
        secret_blocks.provide()


def test_what_was_asked_for_is_hidden_also_as_a_part_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hide("hunter2") == "hunter2"
    monkeypatch.setenv(SUDO_PASSWORD, "hunter2/ü")
    secret(SUDO_PASSWORD)
    secrets.remember("hunter2/ü and more")
    assert hide("a hunter2/ü, http://x/?p=hunter2%2F%C3%BC, hunter2/ü and more.") == "a •••, http://x/?p=•••, •••."


def test_what_is_too_short_to_tell_from_other_words_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUDO_PASSWORD, "eth")
    assert secret(SUDO_PASSWORD) == "eth"
    assert hide("eth1") == "eth1"


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("kubev6.test-of-secrets")
    logger.propagate = False
    logger.addHandler(handler)
    hide_in(handler)
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_log_gets_no_secret_however_it_is_said(told: io.StringIO) -> None:
    secrets.remember("hunter2")
    logger = logging.getLogger("kubev6.test-of-secrets")
    logger.error("it is %s", "hunter2", extra={"text": "hunter2", "change": "node: hunter2"})
    try:
        raise ValueError("hunter2 is no number")
    except ValueError:
        logger.exception("a defect")
    logger.error("it is %d", 7)
    assert "hunter2" not in told.getvalue()
    assert told.getvalue().startswith("it is •••\na defect\nTraceback")
    assert "ValueError: ••• is no number" in told.getvalue()
    assert told.getvalue().endswith("it is 7\n")


def test_a_log_of_a_run_gets_no_secret_from_threads_that_know_of_no_run(told: io.StringIO) -> None:
    secrets.remember("hunter-22")
    Context().run(logging.getLogger("kubev6.test-of-secrets").warning, "the library says hunter-22")
    assert told.getvalue() == "the library says •••\n"


def test_who_reads_the_words_of_a_step_gets_no_secret_either() -> None:
    secrets.remember("hunter2")
    bus, heard = Bus(), list[Event]()
    with scope.holding(bus), bus.heard_by(heard.append), step("node", "network") as shown:
        shown.progress("it is hunter2")
        shown.ended_as("hunter2")
    assert [getattr(each, "text", "") for each in heard] == ["", "it is •••", "•••"]
    assert {(each.subject, each.title) for each in heard if isinstance(each, StepEvent)} == {("node", "network")}


def test_a_handler_that_was_there_before_gets_no_secret_either(told: io.StringIO) -> None:
    logger = logging.getLogger("kubev6.test-of-words")
    handler = logging.StreamHandler(told)
    logger.addHandler(handler)
    secrets.remember("hunter2")
    try:
        hide_in_all()
        logger.error("it is hunter2")
    finally:
        logger.removeHandler(handler)
    assert told.getvalue() == "it is •••\n"


def test_one_run_does_not_know_the_secrets_of_another() -> None:
    secrets.remember("hunter2")
    with scope.holding(Secrets()):
        secrets.hold(SUDO_PASSWORD, "of the other", "a block")
        assert hide("hunter2 of the other") == "hunter2 •••"
    assert hide("hunter2 of the other") == "••• of the other"
    assert secret(SUDO_PASSWORD) is None


def test_outside_a_run_no_secret_can_be_held_but_those_that_the_environment_has_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def outside() -> None:
        with pytest.raises(RuntimeError, match="a secret is held by a run, and here is none"):
            secrets.hold(SUDO_PASSWORD, "right", "a block")
        monkeypatch.setenv(SUDO_PASSWORD, "right")
        assert secret(SUDO_PASSWORD) == "right"

    Context().run(outside)


def test_standard_error_gets_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    secrets.remember("hunter2")
    standard_error.say("it was hunter2")
    assert capsys.readouterr().err == "kubev6: it was •••\n"
