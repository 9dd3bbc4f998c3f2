"""The text that the Docker engine reads to make the base image from a pulled one."""

from __future__ import annotations

import pytest

from configs.render import render


@pytest.mark.parametrize("own_sources", [True, False])
def test_the_base_image_takes_our_files_and_its_own_list_only_where_we_have_none(*, own_sources: bool) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8"}
    text = render("base-image.Dockerfile", published="debian:x", environment=environment, own_sources=own_sources)
    assert text.splitlines() == [
        "FROM debian:x",
        "ENV DEBIAN_FRONTEND=noninteractive",
        "ENV LANG=C.UTF-8",
        *(["RUN rm -f /etc/apt/sources.list.d/*"] if own_sources else []),
        "COPY files/ /",
        "RUN apt-get update && apt-get install -y ca-certificates && apt-get clean && rm -rf /var/lib/apt/lists/*",
    ]
