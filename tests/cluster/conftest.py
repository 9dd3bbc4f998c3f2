"""What tests of real clusters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.paths import data_dir


@pytest.fixture(scope="module")
def own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A data directory with the user's releases, so that none is compiled twice, and nothing else of the user's."""
    own = tmp_path_factory.mktemp("data")
    for shared in ("blobs", "releases"):
        (data_dir() / shared).mkdir(parents=True, exist_ok=True)
        (own / shared).symlink_to((data_dir() / shared).resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(own))
        yield
