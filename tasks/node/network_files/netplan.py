"""netplan's files (netplan(5))."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename
from typing import Any

import yaml

from configs.plan.interfaces import Claim, Definition
from tasks.node.network_files.links import Link, blocks, may_match

TRUE = ("true", "on", "yes", "y")
FALSE = ("false", "off", "no", "n")
MAKES = ("bonds", "bridges", "dummy-devices", "vlans", "vrfs")
"""The types whose interfaces netplan makes."""
MAKING = frozenset(("id", "interfaces", "link", "macaddress", "mtu", "optional", "parameters", "renderer", "table"))
"""What makes an interface, and gives it no address."""
MATCHES = {"name": "Name", "macaddress": "PermanentMACAddress", "driver": "Driver"}
"""The conditions of ``match``, by those of networkd's that say the same."""


def is_there(text: str) -> bool:
    """Whether netplan is installed and has a file."""
    return text.partition("\n")[0].endswith("/netplan") and any(True for _ in _files(text))


def claims(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The files that are about an interface. One that is no YAML may be about every one."""
    there = [link.name for link in links]
    for path, document in _files(text):
        if document is None:
            yield from (Claim(path, link.name, by="lines that are no YAML") for link in links)
        for type_, name, said in _definitions(document):
            match = said.get("match") if isinstance(said.get("match"), dict) else None
            conditions = {key: _words((match or {}).get(of)) for of, key in MATCHES.items() if (match or {}).get(of)}
            for link in links:
                makes = type_ in MAKES and all(key in MAKING or _is_off(key, each) for key, each in said.items())
                if name == link.name:  # ours would be merged with it, whatever it matches
                    yield Claim(path, link.name, only_makes=makes)
                elif "set-name" in said and said["set-name"] in there:
                    if said["set-name"] == link.name:
                        yield Claim(path, link.name, by=f"{name}: set-name: {link.name}")
                elif match is not None and type_ == "ethernets" and may_match(conditions, link):
                    shown = ", ".join(f"{key}: {' '.join(_words(match[key]))}" for key in MATCHES if key in match)
                    yield Claim(path, link.name, by=f"{name}: match: {shown or '{}'}")
                elif link.name in _words(said.get("interfaces")):  # its ports, or what is in a VRF
                    yield Claim(path, link.name, by=f"{name}: interfaces: {link.name}")


def definitions(text: str) -> tuple[Definition, ...]:
    """What all files together define, but for ours; what a later one says of a name counts."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path, document in sorted(_files(text), key=lambda each: basename(each[0])):
        for type_, name, said in _definitions(document) if "kubev6" not in basename(path) else ():
            found[name] = (found.get(name, (type_,))[0], {**found.get(name, ("", {}))[1], **said})
    return tuple(
        Definition(name, type_, *(_is_one_of(TRUE, said.get(key)) for key in ("dhcp4", "dhcp6")))
        for name, (type_, said) in found.items()
    )


def _files(text: str) -> list[tuple[str, Any]]:
    """Path and content of each; of one name the first that is told stands for all (netplan-generate(8))."""
    if not text.partition("\n")[0].endswith("/netplan"):
        return []
    found: dict[str, tuple[str, Any]] = {}
    for path, lines in blocks(text.partition("\n")[2]):
        try:
            # As it is written: what YAML 1.1 takes for a number in base 60 is a link-layer address here.
            document = yaml.load("\n".join(lines), Loader=_Loader) or {}
        except (yaml.YAMLError, RecursionError):
            document = None
        found.setdefault(basename(path), (path, document))
    return list(found.values())


def _definitions(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Type, name and content of each."""
    network = document.get("network") if isinstance(document, dict) else None
    for type_, named in network.items() if isinstance(network, dict) else ():
        for name, said in named.items() if isinstance(named, dict) else ():
            yield type_, name, said if isinstance(said, dict) else {}


class _Loader(yaml.BaseLoader):
    """Takes keys that stand twice together, as netplan does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for part in node.value:
            single = yaml.MappingNode(node.tag, [part], node.start_mark, node.end_mark)
            found = _merged(found, super().construct_mapping(single, deep))
        return found


def _merged(first: dict[Any, Any], then: dict[Any, Any]) -> dict[Any, Any]:
    both = {key: _merged(first[key], value) for key, value in then.items() if _are_mappings(first.get(key), value)}
    return {**first, **then, **both}


def _are_mappings(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def _is_off(key: str, value: Any) -> bool:
    return key in ("dhcp4", "dhcp6") and _is_one_of(FALSE, value)


def _is_one_of(words: tuple[str, ...], value: Any) -> bool:
    return any(word.lower() in words for word in _words(value))


def _words(value: Any) -> list[str]:
    """The text that stands there, or that of a list; what is deeper, which aliases make endless, is none."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
