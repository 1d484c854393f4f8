"""Runs in Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_transfer.errors import BadConfiguration
from keras_transfer.tracking.base import TrackedRun, Tracker

__all__ = ["WandB"]

SECONDS = 30.0
"""How long a server may take to begin a run."""

LAST_SECONDS = 300.0
"""How long it may take for the files at the end; ``wandb sync`` sends what is left."""


class WandB(Tracker):
    """A run of a project, which has the name of the recipe, or ``WANDB_PROJECT``.

    With ``WANDB_MODE=offline`` it is written to ``wandb/``, from where ``wandb sync`` sends it.
    """

    run: Any

    def check(self) -> None:
        """Refuse an account without a key: W&B would ask for it in the middle of the run."""
        import wandb

        if wandb.run is not None:  # of the user's own program, which has logged in
            return
        try:
            # Those of `wandb offline` are in a file, which is read once in a process.
            mode = os.environ.get("WANDB_MODE") or wandb.setup().settings.mode
            if mode not in ("online", "run"):
                return
            known = wandb.login(prompt=False)
        except TypeError as error:  # without `prompt`, it would ask in the middle of the run
            raise BadConfiguration(
                f"track = wandb: W&B {wandb.__version__} is too old. "
                "pip install --upgrade 'keras_transfer[wandb]', or --track none."
            ) from error
        except Exception:  # the server does not answer, which stops no run
            return
        if not known:
            raise BadConfiguration(
                "track = wandb: no API key was found. Give one by `wandb login` or WANDB_API_KEY, "
                "or set WANDB_MODE=offline, which writes the run to wandb/."
            )

    def begin(self, run: TrackedRun, known: Mapping[str, str]) -> dict[str, str]:
        """See ``Tracker.begin``."""
        import wandb

        run_id = known.get("run_id")
        self.run = wandb.init(
            project=known.get("project") or os.environ.get("WANDB_PROJECT") or run.recipe,
            id=run_id,
            # A run that is not on the server, since it was offline, begins there with this id.
            resume="allow" if known else None,
            name=run.name,
            group=run.series or None,
            config={**run.parameters, **run.tags},
            settings=wandb.Settings(
                # Else it would take the run that the user's own program has begun.
                reinit="create_new",
                # Our own output is JSON, or a person's terminal; nothing is put between.
                console="off",
                silent=True,
                init_timeout=SECONDS,
                finish_timeout=LAST_SECONDS,
                finish_timeout_raises=True,
            ),
        )
        if run_id not in (None, self.run.id):
            self.run.finish(exit_code=1)
            raise RuntimeError(f"W&B began {self.run.id} instead of {run_id}.")
        where = self.run.settings.sync_dir if self.run.offline else self.run.url
        return {"run_id": self.run.id, "project": self.run.project, "where": str(where)}

    def epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """See ``Tracker.epoch``."""
        self.run.log({**metrics}, step=step)

    def finish(self, metrics: Mapping[str, float], files: list[Path]) -> None:
        """See ``Tracker.finish``."""
        import wandb

        try:
            self.run.summary.update({**metrics})
            artifact = wandb.Artifact(f"run-{self.run.id}", type="run")
            for path in files:
                artifact.add_file(str(path))
            self.run.log_artifact(artifact)
        finally:  # else it would be open as long as the process
            self.run.finish(exit_code=0)

    def stop(self, status: str) -> None:
        """See ``Tracker.stop``."""
        self.run.finish(exit_code=1)
