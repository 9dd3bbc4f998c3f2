"""A key and a certificate that it has signed itself, in one file. The key is made here and goes nowhere else."""

import os
import pwd
import re
import shutil
from typing import Any, Dict, List, Optional, Tuple

from tasks.node_agent.commands import run, said
from tasks.node_agent.files import write_atomically
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, room_for
from tasks.node_agent.resources.kind import Kind

REQUEST = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = kubev6 registry
[extensions]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:{name}, IP:{address}
"""
"""Of OpenSSL (req(1), x509v3_config(5)), whose versions before 1.1.1 take no extension as an option."""
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)


def undo_certificate(path: str, _: Any) -> List[str]:
    """Remove it."""
    if not os.path.lexists(path):
        return []
    os.unlink(path)
    return ["certificate {}".format(path)]


class Certificates(Kind):
    """Certificates, each with its key in the same file."""

    name = "certificate"
    undoes = (("certificates", undo_certificate),)

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Dict[str, str]:
        """Each certificate; empty where there is none that has its key."""
        return {path: certificate_of(path) for path in query}

    def note(self, change: Json, record: Record) -> None:
        """That it is ours: nobody else has a file there."""
        record.note_directories(change["subject"])
        record.note("certificates", change["subject"], None)

    def make(self, change: Json, record: Record) -> None:
        """Make key and certificate."""
        wanted = change["resource"]
        room = room_for("certificate")
        request, key, certificate = (os.path.join(room, name) for name in ("request", "key", "certificate"))
        try:
            with open(request, "w") as file:
                file.write(REQUEST.format(name=wanted["name"], address=wanted["address"]))
            how = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", str(wanted["days"])]
            run(how + ["-config", request, "-keyout", key, "-out", certificate])
            both = b""
            for path in (key, certificate):
                with open(path, "rb") as made:
                    both += made.read()
        finally:
            shutil.rmtree(room)
        write_atomically(wanted["path"], both, 0o400, user_of(wanted["unit"]))


def certificate_of(path: str) -> str:
    """The certificate in a file that has its key too."""
    try:
        with open(path) as file:
            text = file.read()
    except (OSError, ValueError):
        return ""
    found = CERTIFICATE.search(text)
    return found.group() if found and "PRIVATE KEY-----" in text else ""


def user_of(unit: str) -> Optional[Tuple[int, int]]:
    """The user whom a unit runs as, who has to read the key."""
    name = said(["systemctl", "show", "--property=User", unit]).partition("=")[2].strip()
    try:
        entry = pwd.getpwnam(name or "root")
    except KeyError:
        raise Failed("{} is to run as {}, and there is no such user".format(unit, name)) from None
    return entry.pw_uid, entry.pw_gid
