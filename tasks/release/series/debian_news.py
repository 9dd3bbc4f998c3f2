"""Which version of a source package the Debian archive offers now."""

from __future__ import annotations

from configs.errors import KubeV6Error
from configs.render import render
from tasks.docker import toolchain
from tasks.steps import step


def newest(package: str) -> str:
    """Ask the archive that the toolchain image is configured with, whose lists name binary packages only.

    Args:
        package: Source package name.

    Returns:
        Its newest version.

    Raises:
        KubeV6Error: The archive cannot be reached, or does not have the package.
    """
    lines: list[str] = []
    tools = toolchain.ready()
    with step(package, "look for news") as shown:

        def heard(line: str) -> None:
            lines.append(line)
            shown.progress("asking the archive")

        try:
            toolchain.run(
                tools.image,
                ["sh", "-euc", render("debian-newest.sh"), "newest", package],
                name="look for news",
                deadline=300,
                network=True,
                on_line=heard,
            )
        except KubeV6Error as error:
            said = [line for line in lines if line.startswith(("E:", "Err:"))]
            raise KubeV6Error(
                f"the Debian archive could not be asked for {package}: {said[-1] if said else error.message}",
                todo="check that the machine's package mirror answers and carries source packages",
                transient=True,
                detail=error.detail,
            ) from None
        found = next((line.partition("=")[2] for line in lines if line.startswith("newest=")), "")
        if not found:
            raise KubeV6Error(f"the Debian archive has no source package {package}")
        shown.ended_as(f"the archive offers {found}")
        return found
