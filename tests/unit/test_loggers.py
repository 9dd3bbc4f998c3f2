"""What the product has to say of a run is said where a person hears it."""

import re

from kubev6.server.environment import LOGGERS
from tests.checkout import REPO

MADE = re.compile(r"(?m)^_?[a-z_]+ = logging\.getLogger\((.*)\)$")


def test_every_module_speaks_by_a_logger_that_the_screen_and_prefect_listen_to() -> None:
    files = [path for folder in ("configs", "flows", "kubev6", "tasks") for path in (REPO / folder).rglob("*.py")]
    named = {path: MADE.findall(path.read_text()) for path in files}
    assert sum(map(len, named.values())) > 20
    deaf = {str(path): names for path, names in named.items() if any(f'"{LOGGERS}.' not in name for name in names)}
    assert deaf == {}
