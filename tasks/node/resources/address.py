"""IPv6 addresses of interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from configs.plan.state import Address, StageState
from tasks.node.resources.kind import Changes, Earlier, Kind


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """The IPv6 addresses of a node.

    Attributes:
        there: Those that work or are about to.
        failed: Those that another machine on the link has too.
        added: Those that earlier runs added for this stage.
    """

    there: frozenset[Address]
    failed: frozenset[Address]
    added: frozenset[Address]


class Addresses(Kind[AddressFacts]):
    """Those of others are left alone."""

    name = "address"
    field = "addresses"
    line = "address {}"

    def parse(self, there: Any, added: Any) -> AddressFacts:
        found = {(Address(each["interface"], each["address"]), each["state"]) for each in there}
        return AddressFacts(
            frozenset(address for address, state in found if state != "failed"),
            frozenset(address for address, state in found if state == "failed"),
            frozenset(Address(**each) for each in added),
        )

    def changes(self, stage: StageState, facts: AddressFacts, earlier: Earlier) -> Changes:
        for address in sorted((facts.added & facts.there) - set(stage.addresses), key=str):
            yield self.change(str(address), "remove", "no longer wanted", resource=address)
        for address in stage.addresses:
            if address not in facts.there:
                duplicate = "a duplicate on the link" if address in facts.failed else ""
                yield self.change(str(address), "add", duplicate, resource=address)
