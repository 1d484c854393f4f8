"""Runs in MLflow."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadConfiguration
from keras_transfer.tracking.addresses import MASK, MLFLOW_URI, without_user
from keras_transfer.tracking.base import Plain, TrackedRun, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["MLflow"]

DATABASE = "mlflow.db"
"""In the working directory, as MLflow has it; its folder store is refused since MLflow 3.17."""

ENVIRONMENT = {
    # Retries would double their pause up to minutes, in which no epoch is trained.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Variables for our calls, where the user has not set them."""

BATCH = 100
"""Parameters or metrics in a request; a server refuses more than 100 parameters."""

MAX_VALUE = 500
"""Length of a parameter; servers of MLflow 2 refuse more."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

STATUS = {"failed": "FAILED", "interrupted": "KILLED"}


class MLflow(Tracker):
    """A run of an experiment, by MLflow's client.

    It is sent to ``MLFLOW_TRACKING_URI``, or else written to ``mlflow.db``. The experiment is
    ``MLFLOW_EXPERIMENT_ID`` or ``MLFLOW_EXPERIMENT_NAME``, or else has the name of the recipe.
    """

    client: MlflowClient
    run_id: str

    def begin(self, run: TrackedRun, known: Mapping[str, str]) -> dict[str, str]:
        """See ``Tracker.begin``."""
        with _environment():
            from mlflow import MlflowClient

            # It tells of each table that it makes.
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            uri = _uri(known.get("uri"))
            _try_database(uri)
            self.client = MlflowClient(tracking_uri=uri)
            if known:
                self.run_id = known["run_id"]
                self.client.update_run(self.run_id, status="RUNNING")
            else:
                self.run_id = self._new_run(run)
        public = without_user(uri)
        return {"uri": public, "run_id": self.run_id, "where": f"run {self.run_id} in {public}"}

    def describe(self, run: TrackedRun) -> None:
        """See ``Tracker.describe``."""
        from mlflow.entities import Param

        with _environment():
            for rows in _batches([*run.parameters.items()]):
                params = [Param(path, _shortened(value)) for path, value in rows]
                self.client.log_batch(self.run_id, params=params)

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """See ``Tracker.epoch``."""
        self._log(metrics, step)

    def finish(self, metrics: Mapping[str, float], files: list[Path]) -> None:
        """See ``Tracker.finish``; each of it is tried, also where the part before it failed."""
        first: Exception | None = None
        for part in (
            lambda: self._log(metrics, 0),
            lambda: self._keep(files),
            lambda: self._terminate("FINISHED"),
        ):
            try:
                part()
            except Exception as error:
                if _without_answer(error):
                    raise
                first = first or error
        if first is not None:
            raise first

    def stop(self, status: str) -> None:
        """See ``Tracker.stop``."""
        self._terminate(STATUS[status])

    def _new_run(self, run: TrackedRun) -> str:
        series = {"series": run.series} if run.series else {}
        tags = {"recipe": run.recipe, **run.tags, **series}
        created = self.client.create_run(self._experiment(run.recipe), run_name=run.name, tags=tags)
        return created.info.run_id

    def _experiment(self, recipe: str) -> str:
        from mlflow.exceptions import MlflowException

        if found := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return found
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or recipe
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return experiment.experiment_id
        try:
            return self.client.create_experiment(name)
        except MlflowException:  # another run may just have made it
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                raise
            return experiment.experiment_id

    def _keep(self, files: list[Path]) -> None:
        with _environment():
            for path in files:
                self.client.log_artifact(self.run_id, str(path))

    def _terminate(self, status: str) -> None:
        with _environment():
            self.client.set_terminated(self.run_id, status)

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _environment():
            for rows in _batches([*metrics.items()]):
                batch = [Metric(name, value, now, step) for name, value in rows]
                self.client.log_batch(self.run_id, metrics=batch)


def _try_database(uri: str) -> None:
    """Connect to a database once: MLflow tries ten times, over 100 s in which no epoch is trained.

    Raises:
        Exception: What SQLAlchemy or its driver says.
    """
    if re.split("[:+]", uri)[0] not in DATABASES:
        return
    import sqlalchemy
    from mlflow.store.db.utils import create_sqlalchemy_engine

    file = sqlalchemy.make_url(uri).database
    if uri.startswith("sqlite") and file and not Path(file).parent.exists():
        return  # MLflow makes the folders of a new file
    engine = create_sqlalchemy_engine(uri)
    try:
        sqlalchemy.inspect(engine)
    finally:
        engine.dispose()


def _without_answer(error: BaseException) -> bool:
    """Whether a server is gone: each further request would be waited for as long."""
    from requests import ConnectionError, Timeout

    found: BaseException | None = error
    while found is not None and not isinstance(found, ConnectionError | Timeout):
        found = found.__cause__ or found.__context__
    return found is not None


def _uri(known: str | None) -> str:
    """Where runs are tracked; a resumed one where it began.

    Raises:
        BadConfiguration: It began where a password is needed, and the variable does not give it.
    """
    own = os.environ.get(MLFLOW_URI)
    if known is None:
        return own or f"sqlite:///{Path(DATABASE).resolve()}"
    known = without_user(known)  # earlier versions kept the query
    if own and without_user(own) == known:
        return own
    if MASK in known:
        raise BadConfiguration(
            f"The run began in {known}; its password is in no file. Set {MLFLOW_URI} to resume it."
        )
    return known


def _shortened(value: Plain) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."


def _batches(rows: Sequence[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while batch := [*islice(iterator, BATCH)]:
        yield batch


@contextmanager
def _environment() -> Iterator[None]:
    """Variables that bound how long a server is waited for; the user's own win."""
    own = [name for name in ENVIRONMENT if name not in os.environ]
    os.environ.update({name: ENVIRONMENT[name] for name in own})
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
