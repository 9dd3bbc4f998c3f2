"""Series that follow branches and tags, with real repositories and a real git server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from configs.errors import KubeV6Error
from tasks.release.series import git_source, moving_refs, series_file
from tasks.release.series.series_file import GitSeries
from tests.integration.git_project import Project, served

pytestmark = pytest.mark.usefixtures("own_data")
Load = Callable[..., GitSeries]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "served" / "project")
    project.commit("Base", {"a": "1\n"})
    project.git("checkout", "--quiet", "-b", "feature")
    project.commit("Feature", {"b": "1\n"})
    project.git("checkout", "--quiet", "master")
    project.git("tag", "v1")
    return project


@pytest.fixture
def load(tmp_path: Path, project: Project) -> Load:
    """A series whose base follows a ref and whose patch follows the branch ``feature``."""

    def loaded(ref: str, url: str = "served/project") -> GitSeries:
        pinned = {
            "base": {"remote": "ours", "commit": project.git("rev-parse", "master"), "ref": ref},
            "patches": [{"remote": "ours", "commit": project.git("rev-parse", "feature"), "ref": "feature"}],
        }
        (tmp_path / "moving.yaml").write_text(yaml.safe_dump({"remotes": {"ours": url}, **pinned}))
        series = series_file.load(tmp_path / "moving.yaml")
        assert isinstance(series, GitSeries)
        return series

    return loaded


def moved(project: Project) -> str:
    project.git("checkout", "--quiet", "master")
    return project.commit("News", {"a": "2\n"})


def test_what_has_not_moved_is_pinned_where_it_was(load: Load) -> None:
    series = load("master")
    followed = moving_refs.follow(series, {})
    assert followed.base.commit == series.base.commit
    assert followed.base.ref is None


@pytest.mark.parametrize("through_a_server", [False, True])
def test_a_branch_that_moved_is_followed(
    load: Load, project: Project, tmp_path: Path, *, through_a_server: bool
) -> None:
    series = load("master")
    news = moved(project)
    with served(tmp_path / "served") as address:
        sources = {"ours": f"{address}/project"} if through_a_server else {}
        followed = series_file.load(moving_refs.write(moving_refs.follow(series, sources)))
        assert isinstance(followed, GitSeries)
        assert (followed.name, followed.base.commit) == ("moving", news)
        # And it can be had like any other: the address in it is good from where the new file is.
        assert git_source.obtain(followed, sources=sources).base == news


def test_a_branch_is_not_taken_for_another_that_ends_in_its_name(load: Load, project: Project) -> None:
    project.git("branch", "old/master", "feature")
    assert moving_refs.follow(load("master"), {}).base.commit == project.git("rev-parse", "master")


def test_an_annotated_tag_that_was_moved_stands_for_its_commit(load: Load, project: Project) -> None:
    series = load("v1")
    news = moved(project)
    project.git("tag", "--force", "--annotate", "-m", "again", "v1")
    assert moving_refs.follow(series, {}).base.commit == news


def test_a_ref_that_is_gone_is_one_line(load: Load, project: Project) -> None:
    series = load("master")
    project.git("branch", "--delete", "--force", "feature")
    with pytest.raises(KubeV6Error, match=r"^remote ours \(.*/served/project\) has no ref feature; mend ref:"):
        moving_refs.follow(series, {})


def test_a_server_that_does_not_answer_is_worth_another_try(load: Load) -> None:
    with pytest.raises(KubeV6Error, match=r"remote ours \(git://127.0.0.1:1/x\): its refs cannot be read: ") as error:
        moving_refs.follow(load("master", "git://127.0.0.1:1/x"), {})
    assert error.value.transient
    assert "\n" not in str(error.value)
