"""Which stages of a build are made again although the cache has what they came to.

What they come to this time takes the place of what there was when it is whole, and what follows goes by its content:
when it came out as before, nothing else is made.
"""

from __future__ import annotations

from typing import Literal

from configs.errors import ConfigError

Refresh = Literal["", "source", "series", "compile", "images", "all"]
"""A stage, all of them, or none."""
STAGES: tuple[Refresh, ...] = ("source", "series", "compile", "images", "all")
"""What a person may name."""


def again(refresh: Refresh, *stages: Refresh) -> bool:
    """Whether one of some stages is to be made again."""
    return refresh == "all" or refresh in stages


def refuse_stage_of_a_build(refresh: Refresh, release: str) -> None:
    """Refuse what only a build has, for a release that is fetched.

    Args:
        refresh: What is to be made again.
        release: The release's name.

    Raises:
        ConfigError: It is a stage of a build.
    """
    if refresh and not again(refresh, "source"):
        raise ConfigError(
            f"release {release} is fetched and has no stage {refresh} to be made again",
            todo="--refresh source fetches it again",
        )
