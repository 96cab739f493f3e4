"""Training: plan, batched augmentations, loop, evaluation."""

from ued_core.training.loop import Job, accuracy, features, inside, predict, train
from ued_core.training.plan import PLANS, AdamW, Plan, Sgd

__all__ = ["PLANS", "AdamW", "Job", "Plan", "Sgd", "accuracy", "features", "inside", "predict", "train"]
