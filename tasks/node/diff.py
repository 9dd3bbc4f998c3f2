"""Desired state minus facts: the changes that a node still needs. Pure."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from ipaddress import IPv6Interface, IPv6Network, ip_address

from configs.state import Address, File, Reload, Route, Service, StageState
from tasks.node.change import Change
from tasks.node.facts import Added, Facts, FileFact, ServiceFact, address_words, route_words
from tasks.node_agent.services import RUNNING, STARTS_AT_BOOT


def diff(desired: StageState, facts: Facts) -> tuple[Change, ...]:
    """What has to be done to bring a node to a stage.

    Args:
        desired: The stage.
        facts: The node, asked about this stage.

    Returns:
        Changes in the order in which they must be made; none when the node is as it should be.
    """
    added = facts.added.get(desired.name, Added())
    changes = [
        *(Change("package", name, "install") for name in desired.packages if name not in facts.packages),
        *(Change("module", name, "load") for name in desired.modules if name not in facts.modules),
        # Before the file that says what it is goes.
        *(Change("service", unit, "take back", "no longer wanted") for unit in _unwanted(desired, added)),
        *_files(desired, facts, added),
    ]
    if desired.swap_off and (facts.swaps or facts.fstab_swaps):
        devices = facts.swaps or tuple(line.split()[0] for line in facts.fstab_swaps)
        changes.append(Change("swap", ", ".join(devices), "off", "in use" if facts.swaps else "on at boot"))
    if desired.selinux_permissive and "enforcing" in (facts.selinux, facts.selinux_at_boot):
        was = "enforcing" if facts.selinux == "enforcing" else "enforcing at boot"
        changes.append(Change("selinux", "mode", "set", was, "permissive"))
    changes += [
        Change("ipv4-name", name, "remove", f"{', '.join(facts.ipv4_names[name])} in /etc/hosts")
        for name in desired.no_ipv4_names
        if name in facts.ipv4_names
    ]
    for sysctl in desired.sysctls:
        now = facts.sysctls.get(sysctl.key)
        if now is None or now.split() != sysctl.value.split():
            changes.append(Change("sysctl", sysctl.key, "set", now or "", sysctl.value))
    changes += [Change("link", name, "set up", "down") for name in desired.links_up if name not in facts.links_up]
    changes += _addresses(desired, facts, added)
    if desired.no_ipv4_default_route:
        changes += [Change("ipv4-default-route", words, "remove") for words in facts.ipv4_default_routes]
    changes += _routes(desired, facts, added)
    for binary in desired.binaries:
        digest = facts.binaries.get(binary.path)
        if digest != binary.sha256:
            was = f"sha256 {digest[:12]}" if digest else ""
            changes.append(Change("binary", binary.path, "fetch", was, f"sha256 {binary.sha256[:12]}"))
    touched = frozenset(change.subject for change in changes if change.kind in ("file", "binary"))
    for reload in desired.reloads:
        changes += _reload(reload, facts, touched)
    for service in desired.services:
        changes += _service(service, facts, touched)
    return tuple(changes)


def sha256(text: str) -> str:
    """Hexadecimal digest of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def _files(desired: StageState, facts: Facts, added: Added) -> Iterator[Change]:
    for file in desired.files:
        change = _block(file, facts.blocks.get(file.path)) if file.block else _file(file, facts.files.get(file.path))
        if change:
            yield change
    wanted = {file.path for file in desired.files}
    for path, fact in sorted(facts.files.items()):
        foreign = path not in wanted and path not in added.files
        if fact and fact.kind != "other" and foreign and posixpath.dirname(path) in desired.only_files_in:
            yield Change("file", path, "delete", _short(fact))
    for path, (is_block, original_kept) in sorted(added.files.items()):
        if path in wanted:
            continue
        if is_block and facts.blocks.get(path):
            yield Change("file", path, "take back", "our block, no longer wanted")
        elif not is_block and (facts.files.get(path) or original_kept):
            will = "what was there before" if original_kept else ""
            yield Change("file", path, "take back", "no longer wanted", will)


def _file(file: File, fact: FileFact | None) -> Change | None:
    if fact is None:
        return Change("file", file.path, "create", after=f"mode {file.mode:04o}")
    if fact.kind == "file" and fact.sha256 == sha256(file.content) and fact.mode == file.mode:
        return None
    if fact.kind == "file" and fact.sha256 == sha256(file.content):
        return Change("file", file.path, "replace", f"mode {fact.mode:04o}", f"mode {file.mode:04o}")
    return Change("file", file.path, "replace", _short(fact), "other content")


def _block(file: File, fact: str | None) -> Change | None:
    if fact is None:
        return Change("file", file.path, "create", after="a block of lines")
    if fact == sha256(file.content):
        return None
    was = fact.removeprefix("!") if fact.startswith("!") else "our block"
    return Change("file", file.path, "replace", was, "other lines")


def _short(fact: FileFact) -> str:
    return {"file": "a file", "link": f"a link to {fact.target}"}.get(fact.kind, "not a file")


def _addresses(desired: StageState, facts: Facts, added: Added) -> Iterator[Change]:
    wanted = frozenset(_plain_address(address) for address in desired.addresses)
    for address in sorted((added.addresses & facts.addresses) - wanted, key=address_words):
        yield Change("address", address_words(address), "remove", "no longer wanted")
    for address in map(_plain_address, desired.addresses):
        if address not in facts.addresses:
            failed = address in facts.failed_addresses
            yield Change("address", address_words(address), "add", "a duplicate on the link" if failed else "")
    for interface in desired.no_ipv4_on:
        if has := facts.ipv4_addresses.get(interface):
            yield Change("ipv4-address", interface, "remove", ", ".join(has))


def _plain_address(address: Address) -> Address:
    """The address as the kernel writes it (RFC 5952)."""
    return Address(address.interface, str(IPv6Interface(address.address)))


def _plain_route(route: Route) -> Route:
    via = str(ip_address(route.via)) if route.via else ""
    return Route(str(IPv6Network(route.destination)), via, route.interface, route.metric)


def _routes(desired: StageState, facts: Facts, added: Added) -> Iterator[Change]:
    wanted = [_plain_route(route) for route in desired.routes]
    # The kernel keeps routes by destination and metric: to change the rest of one is to replace it.
    places = {(route.destination, route.metric) for route in wanted}
    for route in sorted((added.routes & facts.routes) - set(wanted), key=route_words):
        if (route.destination, route.metric) not in places:
            yield Change("route", route_words(route), "remove", "no longer wanted")
    for route in wanted:
        if route in facts.routes:
            continue
        others = [r for r in facts.routes if (r.destination, r.metric) == (route.destination, route.metric)]
        was = ", ".join(sorted(f"via {r.via} dev {r.interface}" for r in others))
        yield Change("route", route_words(route), "replace" if others else "add", was)


def _unwanted(desired: StageState, added: Added) -> list[str]:
    return sorted(added.services - {service.unit for service in desired.services})


def _reload(reload: Reload, facts: Facts, touched: frozenset[str]) -> Iterator[Change]:
    command = " ".join(reload.command)
    if reasons := sorted(touched.intersection(reload.when)):
        yield Change("command", command, "run", after=f"{reasons[0]} changes")
    elif command in facts.pending_restarts:
        yield Change("command", command, "run", after="an earlier run ended before it")


def _service(service: Service, facts: Facts, touched: frozenset[str]) -> Iterator[Change]:
    fact = facts.services.get(service.unit, ServiceFact())
    if fact.enabled not in STARTS_AT_BOOT:
        yield Change("service", service.unit, "enable", fact.enabled)
    own = (f"/etc/systemd/system/{service.unit}", f"/etc/systemd/system/{service.unit}.d/")
    reasons = sorted(
        path for path in touched if path in service.restart_on or path == own[0] or path.startswith(own[1])
    )
    if fact.active not in RUNNING and not fact.held_back:
        yield Change("service", service.unit, "start", fact.active)
    elif reasons:
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        yield Change("service", service.unit, "restart", after=f"{reasons[0]}{more} changes")
    elif service.unit in facts.pending_restarts:
        yield Change("service", service.unit, "restart", after="an earlier run ended before it")
