"""A program: says what a node looks like, in one answer to everything that some stages speak of. Changes nothing."""

import json
import shutil

from tasks.node_agent.blocks import block_fact
from tasks.node_agent.commands import answer, ask, prepare
from tasks.node_agent.digests import binary_facts
from tasks.node_agent.files import file_fact, files_in, text_of
from tasks.node_agent.hosts import HOSTS, ipv4_names
from tasks.node_agent.ip import addresses_of, links_of, routes_of
from tasks.node_agent.kernel import module_present, sysctl_value
from tasks.node_agent.packages import ask_packages, installed_packages
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import read_json
from tasks.node_agent.routes import ipv4_route_words, route_facts
from tasks.node_agent.selinux import selinux_facts
from tasks.node_agent.services import ask_services, service_facts
from tasks.node_agent.swap import fstab_swaps, swap_devices


def facts(query: Json) -> Json:
    """One answer to everything that the given stages speak of."""
    record = read_json("record.json")
    stages = {name: record.get("stages", {}).get(name, {}) for name in query["stages"]}
    files = set(query["files"]).union(*(files_in(directory) for directory in query["directories"]))
    blocks = set(query["blocks"])
    for added in stages.values():
        for path, entry in added.get("files", {}).items():
            (blocks if entry.get("block") else files).add(path)
    packages = ask_packages(query["packages"])
    services = ask_services(query["services"])
    if not shutil.which("ip"):
        links, addresses, routes, ipv4 = None, None, None, None
    else:
        links = ask(["ip", "-o", "link"])
        addresses = ask(["ip", "-o", "addr"])
        routes = ask(["ip", "-6", "-o", "route", "show", "table", "main"])
        ipv4 = ask(["ip", "-4", "-o", "route", "show", "default"])
    interfaces = links_of(answer(links))
    return {
        "modules": [name for name in query["modules"] if module_present(name)],
        "files": {path: file_fact(path) for path in files},
        "blocks": {path: block_fact(path) for path in blocks},
        "swaps": swap_devices(),
        "fstab_swaps": fstab_swaps(text_of("/etc/fstab")),
        "sysctls": {key: sysctl_value(key) for key in query["sysctls"]},
        "binaries": binary_facts(query["binaries"]),
        "selinux": selinux_facts(),
        "ipv4_names": ipv4_names(text_of(HOSTS), query["names"]),
        "interfaces": [name for name, _ in interfaces],
        "links_up": [name for name, up in interfaces if up],
        "addresses": addresses_of(answer(addresses)),
        "routes": route_facts(routes_of(answer(routes))),
        "ipv4_default_routes": [ipv4_route_words(route) for route in routes_of(answer(ipv4))],
        "packages": installed_packages(answer(packages)),
        "services": service_facts(query["services"], answer(services)),
        "added": stages,
        "pending_restarts": record.get("pending_restarts", []),
    }


def main(query: Json) -> None:
    prepare()
    try:
        result = facts(query)
    except Failed as error:
        result = {"seen": error.seen, "todo": error.todo}
    print(json.dumps(result))


if "PAYLOAD" in globals():
    main(PAYLOAD)  # type: ignore[name-defined]
