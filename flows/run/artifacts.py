"""What came of a run, as artifacts in Prefect's user interface: the record of the run as pages with tables.

Every page has a key of its own for every cluster, so that Prefect keeps its history over the runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from httpx import ConnectError
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run

from flows.run import markdown
from flows.run.context import RunContext
from flows.run.recording import how_it_ends
from flows.run.redaction import to_show

log = logging.getLogger("kubev6.artifacts")
SECONDS, SECONDS_IF_STOPPED = 30.0, 3.0
"""How long a run waits for the server to take them. Prefect's client by itself may try for minutes, and a run that is
being stopped has not got that."""


@contextmanager
def published(run: RunContext) -> Iterator[None]:
    """Show what came of a run, however it ends.

    Args:
        run: The run, of which nothing is shown when no record of it is kept.
    """
    try:
        yield
    except BaseException as error:
        _publish(run, error)
        raise
    _publish(run, None)


def _publish(run: RunContext, error: BaseException | None) -> None:
    """Tell Prefect's server. A run does not fail because that cannot be done: it is one warning."""
    if run.recording is None or not flow_run.id:
        return
    path, record = run.recording.if_ended(*how_it_ends(error))
    identity, refused = UUID(str(flow_run.id)), list[Exception]()
    artifacts = [
        ArtifactCreate(
            key=page.key,
            type="markdown",
            description=to_show(page.title),
            data=to_show(page.text),
            flow_run_id=identity,
        )
        for page in markdown.pages(path, record)
    ]

    def send() -> None:
        try:
            with get_client(sync_client=True) as client:
                for artifact in artifacts:
                    client.create_artifact(artifact)
        except Exception as error:
            refused.append(error)

    # With a client of its own: the flow's tries many seconds long to reach a server that is gone.
    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    seconds = SECONDS_IF_STOPPED if run.stop_signal.asked else SECONDS
    sending.join(seconds)
    if sending.is_alive() or refused:
        said = str(refused[0]).partition("\n")[0] if refused else f"no answer in {seconds:g} s"
        why = refused[0] if refused else None
        # Of a server that is gone the person hears at the end of the run.
        level = logging.INFO if isinstance(why, ConnectError) else logging.WARNING
        log.log(level, "Prefect does not show what came of this run: %s", said, exc_info=why)
