"""Checkpoints of a training: written after epochs, taken up for an exact resume."""

from __future__ import annotations

import time

import torch
from torch import nn

from ued_core.errors import RunError
from ued_core.files import write_atomic
from ued_core.records import History
from ued_core.training.job import Job


class Saver:
    """Writes checkpoints of a training, but spends at most a tenth of the time on it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cost = 0.0
        self.last = -1e9

    def after_epoch(self, network: nn.Module, optimizer: torch.optim.Optimizer, history: History, last: bool) -> None:
        """Write one unless it is too early; the last epoch's is always written. ``network`` is all that has weights."""
        path = self.job.checkpoint
        began = time.perf_counter()
        if path is None or not (last or began - self.last > 10 * self.cost):
            return
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history.rows,
            "plan": self.job.plan.to_json(),
            "hooks": [hook.state() for hook in self.job.hooks],
        }
        # A run whose folder was deleted stays deleted.
        write_atomic(path, lambda temporary: torch.save(state, temporary), parents=False)
        self.last = time.perf_counter()
        self.cost = self.last - began


def resume(job: Job, network: nn.Module, optimizer: torch.optim.Optimizer) -> History:
    """Take up the job's checkpoint where there is one; the rows of the epochs that lie behind.

    Args:
        job: names the file.
        network, optimizer: as :class:`Saver` was given them; they are overwritten.

    Raises:
        RunError: the checkpoint belongs to another network or plan, or is damaged.
    """
    path = job.checkpoint
    if path is None or not path.exists():
        return History()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["plan"] != job.plan.to_json():
            raise RunError(
                f"The checkpoint {path.name} was written under the plan {state['plan']}, this run has "
                f"{job.plan.to_json()}.",
                "Start a new run for a new plan.",
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        for hook, held in zip(job.hooks, state.get("hooks", []), strict=True):
            hook.restore(held)
    except RunError:
        raise
    except Exception as error:
        # torch's own words run over many lines and advise to load the file unsafely.
        raise RunError(
            f"The checkpoint {path.name} cannot be used: it is damaged or belongs to another network "
            f"({type(error).__name__}).",
            "Delete it to start this run from the beginning.",
        ) from error
    return History(list(state["history"]))
