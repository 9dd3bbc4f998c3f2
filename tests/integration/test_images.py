"""The images: that what is in them runs there, and that the stand-in for CoreDNS answers as cluster DNS must."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import ssl
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import docker
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from docker.models.containers import Container

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry
from tasks.docker import build as docker_build
from tasks.docker import container_engine, toolchain
from tasks.docker.build import context_of
from tasks.docker.toolchain import Toolchain
from tasks.recipes import IMAGES
from tasks.release import compile, go_cache, images
from tasks.release.fetch import checksums
from tasks.release.fetch.mirror import Mirror
from tasks.release.store import Store
from tasks.steps import Step
from tests.fakes import substitute
from tests.unit.test_store import layer, saved
from tests.waiting import eventually

LABELS = {"kubev6.test": "images"}
STUB = 'package main\n\nimport "os"\n\nfunc main() { println(os.Args[0]) }\n'


@pytest.fixture(scope="module")
def tools() -> Toolchain:
    return toolchain.ready()


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return container_engine.client()


@pytest.fixture(scope="module")
def image(
    tools: Toolchain, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Builds an image of ``build/images`` and gives its reference; a stub stands for what Kubernetes compiles."""
    built: dict[str, str] = {}
    source = tmp_path_factory.mktemp("stub")
    (source / "main.go").write_text(STUB)
    (source / "go.mod").write_text("module stub\n\ngo 1.19\n")

    def build(name: str) -> str:
        if name not in built:
            directory = IMAGES / name
            files = {"Dockerfile": directory / "Dockerfile"}
            if f"COPY {name} " in files["Dockerfile"].read_text():
                ours = (directory / "go.mod").exists()
                files[name] = compile.compile_program(directory if ours else source, name, tools)
            with context_of(files) as context:
                docker_build.build(
                    client,
                    f"kubev6/test-{name}:latest",
                    context,
                    inputs="test",
                    arguments={"TOOLCHAIN": tools.image, "STAGE": f"kubev6/test-{name}:latest"},
                    shown=Step("test", name),
                )
            built[name] = f"kubev6/test-{name}:latest"
        return built[name]

    yield build
    for reference in built.values():
        docker_build.remove(client, reference)


def said(client: docker.DockerClient, reference: str, *command: str, **options: Any) -> str:
    """What a command in a container of the image prints; fails the test when its status is not 0."""
    output = client.containers.run(
        reference,
        list(command[1:]),
        entrypoint=command[0],
        remove=True,
        stderr=True,
        labels=LABELS,
        **options,
    )
    return bytes(output).decode()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("iptables", "-V"), "(nf_tables)"),
        (("ip6tables", "-V"), "(nf_tables)"),
        (("iptables-restore", "-V"), "(nf_tables)"),
        (("ip6tables-restore", "-V"), "(nf_tables)"),
        (("conntrack", "-V"), "conntrack v"),
        (("nft", "--version"), "nftables v"),
        (("kube-proxy",), "kube-proxy"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_kube_proxy_has_the_programs_it_calls(
    image: Callable[[str], str], client: docker.DockerClient, command: tuple[str, ...], says: str
) -> None:
    assert says in said(client, image("kube-proxy"), *command)


def test_kube_proxy_can_write_the_rules_it_writes(image: Callable[[str], str], client: docker.DockerClient) -> None:
    container = client.containers.create(
        image("kube-proxy"),
        ["--noflush", "/rules"],
        entrypoint="ip6tables-restore",
        cap_add=["NET_ADMIN"],
        labels=LABELS,
    )
    rules = (
        "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n"
        '-A KUBE-SERVICES -m comment --comment "default/x cluster IP" -m tcp -p tcp -d fd00:1234::5/128 --dport 80 '
        "-m statistic --mode random --probability 0.5 -j KUBE-MARK-MASQ\n"
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-MARK-MASQ\n"
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
        "-A OUTPUT -m conntrack --ctstate NEW -m tcp -p tcp --dport 80 -j DNAT --to-destination [fd00:101::2]:8080\n"
        "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully\n"
        "COMMIT\n"
    )
    try:
        container.put_archive("/", tar_of("rules", rules.encode()))
        container.start()
        assert container.wait(timeout=30)["StatusCode"] == 0, container.logs().decode()
    finally:
        container.remove(force=True)


def test_etcd_starts_and_answers_over_ipv6(image: Callable[[str], str], client: docker.DockerClient) -> None:
    container = client.containers.run(
        image("etcd"),
        [
            "--data-dir=/data",
            "--listen-client-urls=http://[::1]:2379",
            "--advertise-client-urls=http://[::1]:2379",
        ],
        entrypoint="etcd",
        sysctls={"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.lo.disable_ipv6": "0"},
        labels=LABELS,
        detach=True,
    )
    try:
        wait_for_line(container, b"serving insecure client requests on [::1]:2379", b"ready to serve client requests")
    finally:
        container.remove(force=True, v=True)


def test_static_images_hold_their_program_and_nothing_else(
    image: Callable[[str], str], client: docker.DockerClient
) -> None:
    for name in ("kube-apiserver", "probe", "cluster-dns-stand-in"):
        container = client.containers.create(image(name), labels=LABELS)
        try:
            # What the engine itself puts into every container is not the image's.
            files = [path for path in exported(container) if not path.startswith(("dev/", "etc/", ".dockerenv"))]
        finally:
            container.remove()
        assert [path.rpartition("/")[2] for path in files] == [name]


def test_an_image_ends_in_the_store_and_not_in_the_engine(
    tools: Toolchain, client: docker.DockerClient, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    reference = f"kubev6/etcd:3.4.{os.getpid()}"

    entry = images.build("etcd", "3.4", tools, store)

    config, *layers = store.image_blobs(entry.digest)
    assert layers
    assert "etcd" in json.loads(store.blob(config[0]).read_bytes())["config"]["Entrypoint"]
    for of_this_build in ({"reference": reference}, {"label": f"{docker_build.STAGE_LABEL}={reference}"}):
        assert client.images.list(all=True, filters=of_this_build) == []


def test_images_that_are_made_side_by_side_do_not_lose_each_others_layers(tools: Toolchain, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "pause"]

    def build(name: str, text: str) -> ImageEntry:
        program = tmp_path / f"{name}-{text}"
        program.write_text(text)
        return images.build(name, "1", tools, store, files={name: program})

    with ThreadPoolExecutor(len(names)) as pool:
        made = [pool.submit(build, name, text) for text in ("a", "b", "c", "d", "e") for name in names]

    for future in made:
        assert store.has_image(future.result().digest)


def test_the_stand_in_is_taken_where_coredns_cannot_be_had_and_says_so(
    tools: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, images, "COREDNS", "127.0.0.1:9/coredns")

    entry = images.cluster_dns("1.7.0", tools, Store(tmp_path / "store"), None)

    assert (entry.name, entry.stand_in_for) == ("cluster-dns-stand-in", "CoreDNS")


@pytest.mark.usefixtures("run")
def test_a_mirror_without_coredns_is_not_passed_over(
    tools: Toolchain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    entry = images.cluster_dns("1.7.0", tools, Store(tmp_path / "store"), Mirror(str(tmp_path)))

    assert entry.stand_in_for == "CoreDNS"
    assert f"the mirror {tmp_path} has no docker.io/coredns/coredns/1.7.0.tar; " in caplog.text
    assert "coredns: image: failed" not in caplog.text
    assert "image: ended" in caplog.text


@pytest.mark.usefixtures("own_data")
def test_coredns_comes_out_of_the_mirror_and_has_to_stay_the_same(tools: Toolchain, tmp_path: Path) -> None:
    store, archive = Store(), tmp_path / "docker.io" / "coredns" / "coredns" / "1.7.0.tar"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"".join(saved([layer(b"coredns")])))

    first = images.cluster_dns("1.7.0", tools, store, Mirror(str(tmp_path)))
    assert (first.name, first.tag, first.stand_in_for, first.checked) == ("coredns", "1.7.0", "", checksums.FIRST)
    again = images.cluster_dns("1.7.0", tools, store, None)
    assert (again.digest, again.checked) == (first.digest, checksums.SAME)

    archive.write_bytes(b"".join(saved([layer(b"something else")])))
    with pytest.raises(KubeV6Error, match=r"the image coredns/coredns:1\.7\.0: wrong checksum"):
        images.cluster_dns("1.7.0", tools, store, Mirror(str(tmp_path)), force=True)


@pytest.mark.parametrize(
    ("version", "tag"),
    [("3.4.23-4+b4", "3.4.23-4_b4"), ("2:1.19~1", "1.19_1"), ("1.20.5+really1.20.2", "1.20.5_really1.20.2")],
)
def test_a_debian_version_as_a_tag(version: str, tag: str) -> None:
    assert images.debian_tag(version) == tag


def test_the_programs_of_our_own_pass_their_tests(tools: Toolchain) -> None:
    for directory in sorted(path.parent for path in IMAGES.glob("*/go.mod")):
        lines: list[str] = []
        with go_cache.filling(lines.append) as cache:
            toolchain.run(
                tools.image,
                ["sh", "-euc", "cd /program && gofmt -l . && go vet . && go test ."],
                name=f"go test {directory.name}",
                read_only={directory: "/program"},
                mounts={cache: "/cache"},
                environment=compile.PROGRAM_ENVIRONMENT,
                as_caller=True,
                deadline=300,
                on_line=lines.append,
            )
        assert not [line for line in lines if line.endswith(".go")], "gofmt would change these"


# --- cluster DNS -----------------------------------------------------------------------------------------

A, PTR, AAAA = 1, 12, 28
NOERROR, NXDOMAIN = 0, 3


def service(name: str, address: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": name, "resourceVersion": "2"},
        "spec": {"clusterIP": address},
    }


class FakeAPI:
    """Lists and watches as an API server does, over TLS, for one service account."""

    def __init__(self, address: str, authority: Path) -> None:
        self.objects = {
            "namespaces": [{"metadata": {"name": "default"}}],
            "services": [service("kubernetes", "fd00:1234::1"), service("database", "None")],
            "endpoints": [self.endpoints()],
        }
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.stopped = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers["Authorization"] != "Bearer token of the pod":
                    self.send_error(401)
                    return
                parts = urlsplit(self.path)
                kind = parts.path.rpartition("/")[2]
                self.send_response(200)
                self.end_headers()
                if "watch" in parse_qs(parts.query):
                    fake.watch(kind, self.wfile)
                else:
                    listed = {"metadata": {"resourceVersion": "1"}, "items": fake.objects[kind]}
                    self.wfile.write(json.dumps(listed).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def endpoints(self) -> dict[str, Any]:
        addresses = [{"ip": "fd00:101::7", "hostname": "database-0"}, {"ip": "fd00:102::9"}]
        return {
            "metadata": {"namespace": "default", "name": "database", "resourceVersion": "1"},
            "subsets": [{"addresses": addresses}],
        }

    def watch(self, kind: str, out: Any) -> None:
        sent = 0
        while True:
            with self.changed:
                while not self.stopped and (kind != "services" or len(self.events) == sent):
                    self.changed.wait()
                if self.stopped:
                    return
                fresh, sent = self.events[sent:], len(self.events)
            for event in fresh:
                out.write(json.dumps(event).encode() + b"\n")
            out.flush()

    def send(self, kind: str, one: dict[str, Any]) -> None:
        with self.changed:
            self.events.append({"type": kind, "object": one})
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()


def make_authority(path: Path, address: str) -> Path:
    """A certificate for an address, its key before it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + certificate.public_bytes(encoding))
    (path.parent / "ca.crt").write_bytes(certificate.public_bytes(encoding))
    (path.parent / "token").write_text("token of the pod\n")
    return path


def ask(server: str, name: str, kind: int, port: int = 53) -> tuple[int, list[str]]:
    """Ask a DNS server over UDP. Returns the response code and the addresses or names answered."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(query, (server, port))
        answer = asking.recv(4096)
    _, flags, _, count, _, _ = struct.unpack("!6H", answer[:12])
    found, at = [], len(query)
    for _ in range(count):
        _, at = name_in(answer, at)
        kind_seen, _, _, length = struct.unpack("!2HIH", answer[at : at + 10])
        at += 10
        if kind_seen in (A, AAAA):
            found.append(str(ip_address(answer[at : at + length])))
        elif kind_seen == PTR:
            found.append(name_in(answer, at)[0])
        at += length
    return flags & 15, sorted(found)


def name_in(message: bytes, at: int) -> tuple[str, int]:
    """A name in a DNS message, and where it ends. It may go on at another place (RFC 1035, 4.1.4)."""
    labels: list[str] = []
    while length := message[at]:
        if length >= 0xC0:
            rest, _ = name_in(message, struct.unpack("!H", message[at : at + 2])[0] & 0x3FFF)
            return ".".join([*labels, rest]), at + 2
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


@contextmanager
def forwarder(address: str) -> Iterator[int]:
    """A DNS server that answers every question with 2001:db8::64; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as serving:
        serving.bind((address, 0))

        def serve() -> None:
            while True:
                try:
                    query, sender = serving.recvfrom(4096)
                except OSError:
                    return
                end = query.find(b"\0", 12) + 5
                if end < 17:
                    continue  # no question: something else on this machine tries its ports
                record = b"\xc0\x0c" + struct.pack("!2HIH", AAAA, 1, 60, 16) + ip_address("2001:db8::64").packed
                reply = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + query[12:end] + record
                serving.sendto(reply, sender)

        threading.Thread(target=serve, daemon=True).start()
        yield serving.getsockname()[1]


@pytest.fixture
def cluster_dns(
    image: Callable[[str], str], client: docker.DockerClient, tmp_path: Path
) -> Iterator[tuple[str, FakeAPI, Container]]:
    """The stand-in, running beside an API server: its address, that server, and its container."""
    bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    here = bridge.get("Gateway") or str(ip_address(int(ip_address(bridge["Subnet"].split("/")[0])) + 1))
    with ExitStack() as stack:
        api = FakeAPI(here, make_authority(tmp_path / "both.pem", here))
        stack.callback(api.close)
        port = stack.enter_context(forwarder(here))
        container = client.containers.run(
            image("cluster-dns-stand-in"),
            ["--domain", "cluster.local", "--upstream", f"{here}:{port}"],
            environment={"KUBERNETES_SERVICE_HOST": here, "KUBERNETES_SERVICE_PORT": str(api.port)},
            volumes={str(tmp_path): {"bind": "/var/run/secrets/kubernetes.io/serviceaccount", "mode": "ro"}},
            labels=LABELS,
            detach=True,
        )
        stack.callback(container.remove, force=True)
        wait_for_line(container, b"records are complete")
        container.reload()
        yield container.attrs["NetworkSettings"]["IPAddress"], api, container


def wait_for_line(container: Container, *wanted: bytes) -> None:
    """Read a container's log until a line holds one of ``wanted``; fails the test if it ends before."""
    seen = []
    for line in container.logs(stream=True, follow=True):
        seen.append(line.decode(errors="replace"))
        if any(one in line for one in wanted):
            return
    pytest.fail("".join(seen))


def tar_of(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def exported(container: Container) -> list[str]:
    """The files in a container's file system."""
    chunks = cast("Iterator[bytes]", container.export())  # its stubs say text
    whole = io.BytesIO(b"".join(chunks))
    with tarfile.open(fileobj=whole) as tar:
        return [member.name for member in tar if member.isfile()]


def reverse(address: str) -> str:
    return ip_address(address).reverse_pointer


@pytest.mark.parametrize(
    ("name", "kind", "code", "answers"),
    [
        ("kubernetes.default.svc.cluster.local", AAAA, NOERROR, ["fd00:1234::1"]),
        ("kubernetes.default.svc.cluster.local", A, NOERROR, []),
        ("database.default.svc.cluster.local", AAAA, NOERROR, ["fd00:101::7", "fd00:102::9"]),
        ("database-0.database.default.svc.cluster.local", AAAA, NOERROR, ["fd00:101::7"]),
        ("nowhere.default.svc.cluster.local", AAAA, NXDOMAIN, []),
        ("fd00-101--8.default.pod.cluster.local", AAAA, NOERROR, ["fd00:101::8"]),
        (reverse("fd00:1234::1"), PTR, NOERROR, ["kubernetes.default.svc.cluster.local"]),
        ("www.example.org", AAAA, NOERROR, ["2001:db8::64"]),
    ],
    ids=["service", "no IPv4", "headless", "hostname", "unknown", "pod", "reverse", "outside"],
)
def test_the_stand_in_answers(
    cluster_dns: tuple[str, FakeAPI, Container], name: str, kind: int, code: int, answers: list[str]
) -> None:
    assert ask(cluster_dns[0], name, kind) == (code, answers)


def test_the_stand_in_follows_the_cluster(cluster_dns: tuple[str, FakeAPI, Container]) -> None:
    address, api, _ = cluster_dns
    name = "web.default.svc.cluster.local"
    assert ask(address, name, AAAA) == (NXDOMAIN, [])

    api.send("ADDED", service("web", "fd00:1234::77"))
    eventually(lambda: ask(address, name, AAAA) == (NOERROR, ["fd00:1234::77"]), 60)

    api.send("DELETED", service("web", "fd00:1234::77"))
    eventually(lambda: ask(address, name, AAAA) == (NXDOMAIN, []), 60)


def test_the_stand_in_says_how_it_is_and_ends_when_it_is_told(cluster_dns: tuple[str, FakeAPI, Container]) -> None:
    address, _, container = cluster_dns
    assert requests.get(f"http://{address}:8080/health", timeout=5).status_code == 200
    assert requests.get(f"http://{address}:8181/ready", timeout=5).status_code == 200

    container.kill("SIGTERM")
    assert ask(address, "kubernetes.default.svc.cluster.local", AAAA)[0] == NOERROR, "nodes still send questions"
    assert container.wait(timeout=20)["StatusCode"] == 0


def test_the_stand_in_refuses_what_is_no_server(image: Callable[[str], str], client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.ContainerError, match="not an address, such as fd00::64"):
        client.containers.run(image(images.STAND_IN), ["--upstream", "fd00::64#53"], remove=True, labels=LABELS)
