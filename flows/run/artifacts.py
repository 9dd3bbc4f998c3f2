"""What came of a run, as artifacts in Prefect's user interface: the record of the run as pages with tables.

Every page has a key of its own for every cluster, so that Prefect keeps its history over the runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from httpx import ConnectError
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run

from flows.run import markdown, recording
from flows.run.record import RunRecord
from tasks import steps
from tasks.secrets import hide

log = logging.getLogger("kubev6.artifacts")
SECONDS, SECONDS_IF_STOPPED = 30.0, 3.0
"""How long a run waits for the server to take them. Prefect's client by itself may try for minutes, and a run that is
being stopped has not got that."""


@contextmanager
def published() -> Iterator[None]:
    """Show what came of the run that is under way in this context, however it ends."""
    try:
        yield
    except BaseException as error:
        _publish(recording.if_ended(error))
        raise
    _publish(recording.if_ended(None))


def _publish(run: tuple[Path, RunRecord] | None) -> None:
    """Tell Prefect's server. A run does not fail because that cannot be done: it is one warning."""
    if run is None or not flow_run.id:
        return
    identity, failed = UUID(flow_run.id), list[Exception]()

    def send() -> None:
        try:
            with get_client(sync_client=True) as client:
                for page in markdown.pages(*run):
                    artifact = ArtifactCreate(
                        key=page.key,
                        type="markdown",
                        description=page.title,
                        data=hide(page.text),
                        flow_run_id=identity,
                    )
                    client.create_artifact(artifact)
        except Exception as error:
            failed.append(error)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    seconds = SECONDS_IF_STOPPED if steps.stopped() else SECONDS
    sending.join(seconds)
    if sending.is_alive() or failed:
        said = str(failed[0]).partition("\n")[0] if failed else f"no answer in {seconds:g} s"
        error = failed[0] if failed else None
        # Of a server that is gone the person hears at the end of the run.
        level = logging.INFO if isinstance(error, ConnectError) else logging.WARNING
        log.log(level, "Prefect does not show what came of this run: %s", said, exc_info=error)
