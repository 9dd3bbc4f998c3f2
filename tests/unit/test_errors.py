"""Errors go from a worker's process to that of the flow as they are."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from types import ModuleType

import pytest

import configs
import tasks
from configs.errors import CombinedError, ConfigError, EndedError, KubeV6Error, NodeError, combined


def modules(package: ModuleType) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names = (each.name for each in found)
    return [name for name in names if not name.startswith("tasks.node_agent.") and "__main__" not in name]


def all_errors() -> list[type[KubeV6Error]]:
    for package in (configs, tasks):
        for name in modules(package):
            importlib.import_module(name)
    found = [KubeV6Error]
    for each in found:
        found += [error for error in each.__subclasses__() if error not in found]
    return found


@pytest.mark.parametrize("kind", all_errors())
def test_an_error_of_every_kind_comes_through_with_all_that_it_holds(kind: type[KubeV6Error]) -> None:
    sent = kind.__new__(kind, "what it says")
    vars(sent).update(message="seen", todo="do this", transient=True, detail="more", of_its_own=("a", 1))
    came = pickle.loads(pickle.dumps(sent))
    assert type(came) is kind
    assert vars(came) == vars(sent)
    assert came.args == sent.args
    assert str(came) == str(sent)


@pytest.mark.parametrize(
    "sent",
    [
        KubeV6Error("seen", todo="do this", transient=True, detail="more"),
        ConfigError("seen"),
        NodeError("kube-worker-1", "network", "no answer", todo="look", transient=True, detail="more"),
    ],
)
def test_an_error_that_was_made_as_usual_comes_through(sent: KubeV6Error) -> None:
    came = pickle.loads(pickle.dumps(sent))
    assert (type(came), str(came), vars(came)) == (type(sent), str(sent), vars(sent))


def test_several_errors_come_through_together() -> None:
    came = pickle.loads(pickle.dumps(CombinedError((NodeError("a", "network", "x"), ValueError("y")))))
    assert [str(each) for each in came.errors] == ["a: network: x", "y"]
    assert came.errors[0].node == "a"


def test_what_was_ended_because_of_a_failure_is_not_told_beside_it() -> None:
    ended, failed = EndedError("compile"), KubeV6Error("an image is not to be had")
    assert combined([ended, failed]) is failed
    assert combined([ended]) is ended
    both = combined([ended, failed, ValueError("y")])
    assert isinstance(both, CombinedError)
    assert [str(each) for each in both.errors] == ["an image is not to be had", "y"]
    came = pickle.loads(pickle.dumps(ended))
    assert (type(came), str(came)) == (EndedError, str(ended))
