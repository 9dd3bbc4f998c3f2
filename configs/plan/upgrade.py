"""What brings a cluster that is up from one build of Kubernetes to another. Pure.

The order is that of Kubernetes' version skew policy and of kubeadm's own upgrade: etcd, the API server, the two that
ask it alone, the kubelets with the control plane's first and the others one after another, and kube-proxy. Of builds of
one minor version only what differs is replaced, and a restarted kubelet leaves the pods of its node running, so no node
is drained. To the next minor version kubeadm itself brings the control plane, at once, and each node is drained before
its kubelet is replaced; Kubernetes knows no way back from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from configs.manifest import Manifest, tag_and_digest
from configs.membership import identity
from configs.plan import versions
from configs.plan.derived import image_references, pinned_images
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.release import Release

TOGETHER = (("etcd",), ("kube-apiserver",), ("kube-controller-manager", "kube-scheduler"))
"""The static pods in the order in which they are replaced on a control plane; the last two depend on the API server."""
KUBELET, KUBE_PROXY = "kubelet", "kube-proxy"
Found = Mapping[str, Machine | None]
"""What machines say of themselves, by the names of their nodes; None of one that could not be reached."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component that is replaced.

    Attributes:
        component: A static pod, ``kubelet`` or ``kube-proxy``.
        before: What runs: an image's reference, or the kubelet's version.
        after: What is to run.
    """

    component: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    """What is replaced at once, before the cluster is proved.

    Attributes:
        node: The machine; for kube-proxy, which runs on all of them, the control plane.
        parts: The components.
        is_minor: Whether they are brought to the next minor version, by kubeadm.
    """

    node: str
    parts: tuple[Part, ...]
    is_minor: bool = False

    @property
    def title(self) -> str:
        """The components' names."""
        return " and ".join(part.component for part in self.parts)

    @property
    def is_kubelet(self) -> bool:
        """Whether it is the kubelet of a node."""
        return self.parts[0].component == KUBELET

    @property
    def is_kube_proxy(self) -> bool:
        """Whether it is kube-proxy, which is one object for all nodes."""
        return self.parts[0].component == KUBE_PROXY


@dataclass(frozen=True, slots=True)
class Build:
    """A build of Kubernetes on a cluster.

    Attributes:
        manifest: What it holds.
        images: The references of its images, by name.
    """

    manifest: Manifest
    images: Mapping[str, str]

    @property
    def kubelet(self) -> str:
        """The sha256 of its kubelet; empty when it holds none."""
        return next((each.sha256 for each in self.manifest.binaries if each.name == KUBELET), "")

    def image(self, component: str) -> str:
        """The reference of a component's image; empty when it holds none."""
        return self.images.get(versions.image_name(component, self.manifest.version), "")


def holding(cluster: Cluster, manifest: Manifest) -> Cluster:
    """The topology for a build that runs: the images of one of ours are in the cluster's registry and nowhere else.

    The cluster's file may say by now that images are taken upstream.
    """
    return cluster.model_copy(update={"images": "registry"}) if manifest.source.kind == "built" else cluster


def build(cluster: Cluster, release: Release, manifest: Manifest) -> Build:
    """A build as a cluster runs it: by digest, where its images are in the cluster's own registry."""
    cluster = holding(cluster, manifest)
    return Build(manifest, image_references(cluster, release, manifest) | pinned_images(cluster, manifest))


def steps(cluster: Cluster, wanted: Build, former: Build | None, found: Found) -> tuple[Step, ...]:
    """What has to be replaced of a cluster that is up, in order; nothing when it runs the build already.

    Args:
        cluster: The topology.
        wanted: What is to run.
        former: What was deployed last; None when that is not known.
        found: What the machines say of themselves. What one runs that could not be reached is not known.
    """
    version, ordered = wanted.manifest.version, list[Step]()
    for node in cluster.control_planes:
        ordered += _static_pods(node.name, wanted, former, found.get(node.name))
    for node in (*cluster.control_planes, *cluster.worker_nodes):
        machine = found.get(node.name)
        if machine is None or not machine.membership.is_node or machine.membership.server != identity(cluster).server:
            continue
        seen = machine.membership.version
        if not seen:
            continue  # it has none that runs, and gets its executables as a machine that lacks them does
        if not versions.is_stamped(seen, version) or (former and former.kubelet != wanted.kubelet):
            part = Part(KUBELET, seen, version)
            ordered.append(Step(node.name, (part,), _is_other_minor(part)))
    before, after = former.image(KUBE_PROXY) if former else "", wanted.image(KUBE_PROXY)
    there = filter(None, (found.get(node.name) for node in cluster.control_planes))
    is_up = any(machine.membership.static_pods for machine in there)
    if is_up and before and after and not is_same_image(before, after):
        ordered.append(Step(cluster.control_plane.name, (Part(KUBE_PROXY, before, after),)))
    return tuple(ordered)


def _static_pods(node: str, wanted: Build, former: Build | None, machine: Machine | None) -> Iterator[Step]:
    """What is to be replaced of a control plane's static pods."""
    running = dict(machine.membership.static_pods) if machine else {}

    def pod(component: str) -> Iterator[Part]:
        runs, image = running.get(component, ""), wanted.image(component)
        known = former.image(component) if former and "@" not in runs else ""
        if known and is_same_image(runs, known):
            runs = known  # kubeadm before 1.19 takes no digests, so that builds of one version look alike
        if runs and image and not is_same_image(runs, image):
            yield Part(component, runs, image)

    groups = [parts for each in TOGETHER if (parts := tuple(part for component in each for part in pod(component)))]
    if any(_is_other_minor(part) for parts in groups for part in parts if part.component != "etcd"):
        yield Step(node, tuple(part for parts in groups for part in parts), is_minor=True)
    else:
        yield from (Step(node, parts) for parts in groups)


def _is_other_minor(part: Part) -> bool:
    return not versions.is_same_minor(version_of(part.before), version_of(part.after))


def is_same_image(seen: str, wanted: str) -> bool:
    """Whether two references are of one image: the same tag, and the same digest where both have one.

    Their registries need not be the same, as an image may be had from several.
    """
    (seen_tag, seen_digest), (tag, digest) = tag_and_digest(seen), tag_and_digest(wanted)
    return seen_tag == tag and (seen_digest == digest or not seen_digest or not digest)


def version_of(what: str) -> str:
    """What a person calls a version by or an image: the tag of a reference, and other texts as they are."""
    return tag_and_digest(what)[0] or what


def other_minor(runs: str, wanted: str) -> str:
    """Why what runs is not brought in place to the minor version of a release; empty when it is, or is of it already.

    Args:
        runs: The version that runs, or the tag that names it.
        wanted: The version of the release.
    """
    if versions.is_same_minor(runs, wanted):
        return ""
    if versions.numbers(runs) > versions.numbers(wanted):
        return "Kubernetes does not go back to an older minor version"
    if not versions.is_next_minor(runs, wanted):
        return "Kubernetes goes one minor version at a time"
    if not versions.kubeadm_upgrades(wanted):
        return "from before 1.31 no cluster is brought to the next minor version in place"
    return ""


def refusal(cluster: Cluster, wanted: Build, known: Sequence[Manifest], found: Found, ordered: Sequence[Step]) -> str:
    """Why a cluster cannot be brought in place from what it runs to a build; empty when it can.

    What it runs has to be known here, as that is the way back.

    Args:
        cluster: The topology.
        wanted: What is to run.
        known: What was deployed from here, what runs first, also by an upgrade that was cut off.
        found: What the machines say of themselves.
        ordered: What has to be replaced.
    """
    tag = versions.image_tag(wanted.manifest.version)
    ours = {each for manifest in (wanted.manifest, *known) for each in _api_servers(manifest)}
    for node in cluster.kubernetes_nodes:
        machine = found.get(node.name)
        if machine is None:
            return f"{node.name} could not be asked, and every machine has to be there for that"
        seen = machine.membership
        runs = seen.tag or (versions.image_tag(seen.version) if seen.is_node and seen.version else "")
        if runs and (why := other_minor(runs, wanted.manifest.version)):
            return f"{node.name} runs {runs}, and the release is {tag}: {why}"
        if seen.tag and (seen.digest or seen.tag) not in ours:
            return f"{node.name} runs {runs}, which was not deployed from here, so that there would be no way back"
    for part in (part for each in ordered if not each.is_minor for part in each.parts if part.component == "etcd"):
        there, new = version_of(part.before), version_of(part.after)
        if not versions.is_same_minor(there, new):
            return (
                f"its etcd is {there}, that of the release {new}, and etcd's data does not go back to another minor one"
            )
    if known and known[0].has_stand_in != wanted.manifest.has_stand_in:
        return "one of the two has CoreDNS and the other its stand-in, which do not take turns"
    return ""


def _api_servers(manifest: Manifest) -> Iterator[str]:
    """What tells by its API server that a cluster runs a release: the digest of its image, or without one the tag."""
    yield versions.image_tag(manifest.version)
    for image in manifest.images:
        if image.name.startswith("kube-apiserver"):
            yield from (image.tag, image.digest)
