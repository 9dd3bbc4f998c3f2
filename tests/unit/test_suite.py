"""Of which clusters upstream's tests can be made, and of which tree."""

from __future__ import annotations

import pytest

from configs.errors import ConfigError
from configs.manifest import Manifest, SourceEntry
from configs.schema.loading import load_cluster, load_release
from tasks import deployed
from tasks.release import suite
from tasks.release.series.series import Picked
from tests.unit.sample import manifest

CLUSTER = load_cluster("lab")
FETCHED = manifest().model_copy(
    update={"name": "v1.34.2", "version": "v1.34.2", "source": SourceEntry(kind="fetched", origin="https://dl.k8s.io")}
)
PICKED = Picked(series="v1.34.2", base="b" * 40, commit="c" * 40, tree="d" * 40, patches=())

pytestmark = pytest.mark.usefixtures("own_data")


def of_tree(tree: str) -> Manifest:
    return manifest().model_copy(update={"source": SourceEntry(kind="built", origin="here", tree=tree)})


def test_the_tests_of_a_published_release_are_made_of_what_its_file_would_be_built_from() -> None:
    release = load_release("v1.34.2")
    deployed.remember(CLUSTER, FETCHED, release)
    assert suite.under_test(CLUSTER) == (release, FETCHED)
    suite.refuse_other_tree(FETCHED, PICKED)


def test_a_release_whose_file_names_no_tree_is_refused_with_what_would_do() -> None:
    deployed.remember(CLUSTER, FETCHED, load_release("v1.34.2").model_copy(update={"build": None}))
    with pytest.raises(ConfigError) as refused:
        suite.under_test(CLUSTER)
    assert str(refused.value) == (
        "cluster lab runs v1.34.2, upstream's tests are made from a release's own tree, and the file of release "
        "v1.34.2 names none; give it `build: {series: ...}` with Kubernetes of that version as its base, and deploy it "
        "again, which changes nothing on the machines; or deploy a release that is built from source"
    )


def test_tests_of_another_tree_than_was_built_are_refused() -> None:
    suite.refuse_other_tree(of_tree(PICKED.tree), PICKED)
    with pytest.raises(ConfigError, match="bring the cluster to it first: kubev6 deploy"):
        suite.refuse_other_tree(of_tree("e" * 40), PICKED)
