"""Taking out of a text what is a secret by its form, besides those that are known (:mod:`tasks.secrets`).

For what is handed to somebody else: rather a word too many than one too few. Pure but for the secrets that the run
knows.
"""

from __future__ import annotations

import re

from tasks.secrets import HIDDEN, hide

_KEY = "PRIVATE KEY-----"
_NAMES = "password|passwd|passphrase|passwort|secret|token|auth|auth_string|authorization|key-data|psk|credentials?"
FORMS = (
    # PEM, also one whose beginning or end has been cut off.
    (re.compile(rf"-----BEGIN [A-Z0-9 ]*{_KEY}.*?(?:-----END [A-Z0-9 ]*{_KEY}|\Z)", re.DOTALL), HIDDEN),
    (re.compile(rf"\A.*?-----END [A-Z0-9 ]*{_KEY}", re.DOTALL), HIDDEN),
    # The same in base64, as a kubeconfig has it: "-----BEGIN".
    (re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]*"), HIDDEN),
    # A bootstrap token of kubeadm, and a JSON Web Token (RFC 7519), as service accounts have them.
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"(?i)\b(basic|bearer)\s+[\w+/=.~-]{8,}"), rf"\1 {HIDDEN}"),
    # A login in an address (RFC 3986, 3.2.1).
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), HIDDEN),
    # NAME=VALUE, "name": "value", --name value: what says of itself that it is one.
    (
        re.compile(rf"""(?i)((?:{_NAMES})["']?\s*[:=]\s*|--[\w-]*(?:{_NAMES})\s+)("[^"\n]*"|'[^'\n]*'|\S+)"""),
        rf"\1{HIDDEN}",
    ),
)
"""What secrets look like, and what stands in their place."""


def redact(text: str) -> str:
    """A text without the secrets that are known, and without what looks like one.

    Args:
        text: What is to be handed on.
    """
    text = hide(text)
    for form, place in FORMS:
        text = form.sub(place, text)
    return text
