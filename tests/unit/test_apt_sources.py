"""What is taken over from this machine's apt, and what is not."""

from __future__ import annotations

import pytest

from configs.errors import KubeV6Error
from tasks.docker.apt_sources import AptSources, Suite, parse_settings, parse_targets

TARGETS = """\
http://mirror.test/debian/|bookworm|main|Debian|bookworm
http://mirror.test/debian/|bookworm|contrib|Debian|bookworm
http://mirror.test/debian/|bookworm|main|Debian|bookworm
http://mirror.test/debian/|bookworm-updates|main|Debian|bookworm-updates
http://mirror.test/security/|bookworm-security|main|Debian|bookworm-security
http://mirror.test/debian/|trixie|main|Debian|trixie
https://vendor.test/node/|nodistro|main|. nodistro|nodistro
https://vendor.test/docker/|bookworm|stable|Docker|bookworm

"""


def test_only_the_distributions_own_suites_are_taken() -> None:
    assert parse_targets(TARGETS) == (
        Suite("http://mirror.test/debian/", "bookworm", ("main", "contrib")),
        Suite("http://mirror.test/debian/", "bookworm-updates", ("main",)),
        Suite("http://mirror.test/security/", "bookworm-security", ("main",)),
    )


def test_no_indices_mean_no_suites() -> None:
    assert parse_targets("") == ()


def test_the_sources_list_has_one_signed_line_per_suite() -> None:
    text = AptSources(parse_targets(TARGETS), ()).sources_list()
    keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert text.splitlines()[0] == f"deb {keyring} http://mirror.test/debian/ bookworm main contrib"
    assert len(text.splitlines()) == 3
    assert "vendor.test" not in text


@pytest.mark.parametrize(
    ("line", "carried"),
    [
        ('Acquire::http::Proxy "http://proxy.test:3142/";', True),
        ('Acquire::http::Proxy::mirror.test "DIRECT";', True),
        ('Acquire::https::Proxy "http://proxy.test:3142/";', True),
        ('Acquire::Check-Valid-Until "false";', True),
        ('Acquire::Retries "3";', True),
        ('Acquire::http "";', False),
        ('Acquire::http::Proxy "";', False),
        ('Acquire::GzipIndexes "true";', False),
        ('APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";', False),
        ('Dir::Etc::trusted "trusted.gpg";', False),
    ],
)
def test_settings_that_decide_how_the_archive_is_reached_are_carried(line: str, carried: bool) -> None:
    assert parse_settings(f"APT;\n{line}\n") == ((line,) if carried else ())


@pytest.mark.parametrize(
    ("value", "proxy"), [("http://proxy.test:3142/", "http://proxy.test:3142/"), ("DIRECT", ""), ("", "")]
)
def test_proxy(value: str, proxy: str) -> None:
    settings = (f'Acquire::http::Proxy "{value}";',) if value else ()
    assert AptSources((), settings).proxy("http") == proxy


def test_a_change_of_the_mirror_or_the_proxy_changes_the_digest() -> None:
    suites = parse_targets(TARGETS)
    other = parse_targets(TARGETS.replace("mirror.test", "other.test"))
    proxied = AptSources(suites, ('Acquire::http::Proxy "http://proxy.test/";',))
    assert len({AptSources(suites, ()).digest(), AptSources(other, ()).digest(), proxied.digest()}) == 3


def test_no_source_to_make_an_image_from_is_said() -> None:
    with pytest.raises(KubeV6Error, match="no source for Debian bookworm"):
        _ = AptSources((), ()).main
