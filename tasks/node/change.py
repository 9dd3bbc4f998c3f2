"""A change, as a value: one thing that is done to a machine, or to the cluster as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is done.

    Attributes:
        kind: Of a machine: ``package``, ``module``, ``file``, ``swap``, ``selinux``, ``ipv4-name``, ``sysctl``,
            ``link``, ``address``, ``ipv4-address``, ``ipv4-default-route``, ``route``, ``binary``, ``command`` or
            ``service``. Of the cluster: ``machine``, ``registry``, ``cluster``, ``static pod``, ``component`` (in a
            preview), ``certificate`` or ``add-on``.
        subject: Which one: a package's name, a path, a setting's key, a route in the words of ``ip route``, a command,
            a unit.
        action: What is done: ``install``, ``load``, ``create``, ``replace``, ``delete``, ``undo``, ``off``,
            ``set``, ``set up``, ``add``, ``remove``, ``fetch``, ``run``, ``enable``, ``start``, ``restart`` or
            ``renew``.
        before: What is there now, in a few words; empty for nothing.
        after: What will be there, or why, in a few words.
        node: The machine; for what is done to no single one, the cluster or the registry.
        stage: The stage of the machine that it is part of; empty for what is part of none, as a join.
        resource: One of the values of :mod:`configs.plan.state` where the subject does not say it all: as
            it is wanted, or as it is removed. The node is sent it; people, records and comparisons know the rest.
    """

    kind: str
    subject: str
    action: str
    before: str = ""
    after: str = ""
    node: str = ""
    stage: str = ""
    resource: object | None = field(default=None, compare=False, repr=False)

    def describe(self) -> str:
        """One line for a person, without the machine."""
        return described(self.action, self.kind, self.subject, self.before, self.after)

    def as_json(self) -> dict[str, str]:
        """The same for machines."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}


def described(action: str, kind: str, subject: str, before: str, after: str) -> str:
    """A change as one line for a person, without its machine.

    Args:
        action: See :class:`Change`, as the others.
        kind: Of what kind.
        subject: Which one.
        before: What is there now.
        after: What will be there.
    """
    told = " -> ".join(part for part in (before, after) if part)
    return " ".join(part for part in (action, kind, subject) if part) + (f" ({told})" if told else "")
