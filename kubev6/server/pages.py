"""Prefect's pages, which ask nobody but their server.

Prefect's page of today asks its makers' analytics service for a configuration whenever it is opened, before it has
learnt that the server wants no analytics. A rule in the page has the browser refuse that (Content Security Policy).
"""

from __future__ import annotations

from pathlib import Path

from configs.errors import KubeV6Error
from tasks.paths import data_dir
from tasks.replace import write_whole

RULE = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:\">"
)
"""Everything from the server the page came from; scripts and images that stand in the page itself."""
HEAD = "<head>"


def directory() -> Path:
    """Where a server that starts puts its pages, and reads them from whenever one is asked for."""
    return data_dir() / "prefect-pages"


def close() -> None:
    """Write the rule into the pages of a server that has started; one that was told to show none has none.

    Raises:
        KubeV6Error: They have another form than Prefect's.
    """
    for index in sorted(directory().glob("*/index.html")):
        text = index.read_text()
        if RULE in text:
            continue
        if HEAD not in text:
            raise KubeV6Error(f"{index}: is no page with a {HEAD}", todo="remove it and start the server again")
        write_whole(index, text.replace(HEAD, HEAD + RULE, 1))
