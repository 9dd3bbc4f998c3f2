"""Prefect's task runner for Ray, in which a task takes no worker process while it waits for others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from prefect.futures import PrefectFuture
from prefect_ray.task_runners import PrefectRayFuture, RayTaskRunner  # type: ignore[import-not-found]

from configs.errors import KubeV6Error


class RayRunner(RayTaskRunner):  # type: ignore[misc]
    """Ray itself waits for what a task waits for: Prefect's runner tells it only of what is in the parameters."""

    def __enter__(self) -> Self:
        """Start Ray, or connect to the one that is there.

        Raises:
            KubeV6Error: It does not start, or does not answer.
        """
        try:
            super().__enter__()
        except Exception as error:  # which Ray names no further
            seen = f"Ray at {self.address} does not answer" if self.address else "Ray does not start"
            raise KubeV6Error(
                f"{seen}: {str(error).partition(chr(10))[0]}", todo="see to it, or run without --task-runner"
            ) from error
        return self

    def submit(
        self, task: Any, parameters: dict[str, Any], wait_for: Iterable[PrefectFuture[Any]] | None = None, **rest: Any
    ) -> Any:
        """Begin a task run when what it waits for has ended."""
        awaited = list(wait_for or ())
        self._awaited = [each.wrapped_future for each in awaited if isinstance(each, PrefectRayFuture)]
        return super().submit(task, parameters, wait_for=awaited, **rest)

    def _exchange_prefect_for_ray_futures(self, kwargs_prefect_futures: dict[str, Any]) -> tuple[Any, list[Any]]:
        exchanged, upstream = super()._exchange_prefect_for_ray_futures(kwargs_prefect_futures)
        return exchanged, [*upstream, *self._awaited]
