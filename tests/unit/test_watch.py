"""What a look of a watch comes to."""

from __future__ import annotations

from tasks.kubernetes.asking import Answer
from tasks.kubernetes.checks import Probe
from tasks.kubernetes.watch import told
from tasks.node_agent.verify_probe import NOT_ASKED

QUESTIONS = (
    Probe("hairpin", "kube-worker-1", True, "its own Service", "fetch", "http://[fd00::1]/", "kube-worker-1"),
    Probe("NodePort", "kube-worker-1", True, "kube-worker-2:30000", "fetch", "http://[fd00::2]/", "kube-worker-2"),
    Probe("NodePort", "kube-worker-1", False, "kube-worker-2:30000", "fetch", "http://[fd00::2]/", "kube-worker-2"),
)
GOOD: tuple[Answer, ...] = ((0, "kube-worker-1\n", 0.1), (0, "kube-worker-2\n", 0.1), (0, "kube-worker-2\n", 0.1))


def seen(*answers: Answer | None) -> list[tuple[str, str, bool, str]]:
    by_id = {str(index): answer for index, answer in enumerate(answers) if answer is not None}
    return [(check.name, check.source, check.ok, check.seen) for check in told(QUESTIONS, by_id)]


def test_every_question_is_a_check_and_so_is_who_was_reached() -> None:
    assert seen(*GOOD) == [
        ("hairpin", "pod on kube-worker-1", True, "kube-worker-1"),
        ("NodePort", "pod on kube-worker-1", True, "kube-worker-2"),
        ("NodePort", "kube-worker-1", True, "kube-worker-2"),
        ("reached", "API", True, "asked"),
        ("reached", "SSH", True, "asked"),
    ]
    assert seen((1, "timed out", 2.0), *GOOD[1:])[0] == ("hairpin", "pod on kube-worker-1", False, "timed out")


def test_of_who_could_not_be_asked_one_thing_is_told_and_nothing_of_what_it_would_have_said() -> None:
    lost: Answer = (NOT_ASKED, "kubectl exec: connection refused", 0.0)
    assert seen(lost, lost, GOOD[2]) == [
        ("NodePort", "kube-worker-1", True, "kube-worker-2"),
        ("reached", "API", False, "kubectl exec: connection refused"),
        ("reached", "SSH", True, "asked"),
    ]
    assert seen(None, None, GOOD[2])[1] == ("reached", "API", False, "its pod is not there")
