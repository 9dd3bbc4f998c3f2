"""The state of a machine, written for other tools as somebody would write it who knows them well.

Each gets what our own plan says of the machine: packages, files, blocks in files, kernel settings, addresses, routes,
executables by their checksums, services; not kernel modules, of which a lab's machines have none of their own. What
these tools have no operation for (addresses and routes as the kernel has them, a checksum that has to be) is one
command or question in each.
"""

from __future__ import annotations

from dataclasses import dataclass

from configs.plan.state import Address, Binary, File, NodeState, Route, Service, Sysctl
from tasks.shell import quote


@dataclass(frozen=True, slots=True)
class Wanted:
    """All stages of a machine as one."""

    packages: tuple[str, ...]
    files: tuple[File, ...]
    sysctls: tuple[Sysctl, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    binaries: tuple[Binary, ...]
    services: tuple[Service, ...]

    @classmethod
    def of(cls, state: NodeState) -> Wanted:
        """That of a machine; a file that several stages name is that of the last."""
        stages = state.stages
        files = {(file.path, file.block): file for stage in stages for file in stage.files}
        return cls(
            packages=tuple(sorted({name for stage in stages for name in stage.packages})),
            files=tuple(files.values()),
            sysctls=tuple(each for stage in stages for each in stage.sysctls),
            addresses=tuple(each for stage in stages for each in stage.addresses),
            routes=tuple(each for stage in stages for each in stage.routes),
            binaries=tuple(each for stage in stages for each in stage.binaries),
            services=tuple(each for stage in stages for each in stage.services),
        )

    @property
    def whole_files(self) -> tuple[File, ...]:
        """Those that are ours from their first line to their last."""
        return tuple(file for file in self.files if not file.block)

    @property
    def blocks(self) -> tuple[File, ...]:
        """Blocks in files of others."""
        return tuple(file for file in self.files if file.block)


def network_check(wanted: Wanted) -> str:
    """Commands of sh that fail when the kernel lacks an address or a route."""
    addresses = (f"{each.address} " for each in wanted.addresses)
    routes = (f"{each.destination} " for each in wanted.routes)
    return "; ".join(
        (
            "set -e",
            "addresses=$(ip -o -6 addr show)",
            "routes=$(ip -6 route show)",
            *(_has("addresses", text) for text in addresses),
            *(_has("routes", text) for text in routes),
        )
    )


def _has(variable: str, text: str) -> str:
    return f'case "${variable}" in *{quote([text])}*) ;; *) echo "lacks "{quote([text])}; exit 1 ;; esac'


def shell_script(wanted: Wanted, contents: dict[str, str]) -> str:
    """What somebody would send to ``sh`` to see whether a machine is as it should be: it fails when it is not.

    Args:
        wanted: The machine.
        contents: The SHA-256 of each whole file, by its path.
    """
    sums = [f"{contents[file.path]}  {file.path}" for file in wanted.whole_files]
    sums += [f"{binary.sha256}  {binary.path}" for binary in wanted.binaries]
    keys, values = [each.key for each in wanted.sysctls], [each.value for each in wanted.sysctls]
    units = [each.unit for each in wanted.services]
    listed = "\n".join
    parts = [
        "set -e",
        f"sha256sum --quiet -c - <<'EOF'\n{listed(sums)}\nEOF",
        *(f"[ $(stat -c %a {quote([file.path])}) = {file.mode:o} ]" for file in wanted.whole_files),
        *(f"grep -qF {quote([file.content.splitlines()[0]])} {quote([file.path])}" for file in wanted.blocks),
        network_check(wanted),
    ]
    if wanted.packages:
        status = f"dpkg-query -W -f '${{db:Status-Status}}\\n' {quote(wanted.packages)}"
        parts.append(f'[ "$({status} | sort -u)" = installed ]')
    if keys:
        parts.append(f'[ "$(sysctl -n {quote(keys)})" = {quote([listed(values)])} ]')
    if units:
        parts += [f"systemctl is-active --quiet {quote(units)}", f"systemctl is-enabled --quiet {quote(units)}"]
    return "\n".join(parts) + "\n"


def plain(wanted: Wanted) -> dict[str, object]:
    """The same as variables of a host, which `peers/playbook.yaml` and `peers/deploy.py` read.

    Args:
        wanted: The machine.
    """
    return {
        "packages": list(wanted.packages),
        "files": [
            {"path": file.path, "content": file.content, "mode": f"{file.mode:04o}"} for file in wanted.whole_files
        ],
        "blocks": [{"path": file.path, "content": file.content} for file in wanted.blocks],
        "sysctls": {each.key: each.value for each in wanted.sysctls},
        "network_check": network_check(wanted),
        "binaries": [{"path": each.path, "sha256": each.sha256} for each in wanted.binaries],
        "services": [each.unit for each in wanted.services],
    }
