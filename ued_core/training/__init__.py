"""Training: plan, batched augmentations, loop and its hooks, evaluation."""

from ued_core.catalogue import Catalogue
from ued_core.training.evaluation import accuracy, features, inside, layer_fields, predict
from ued_core.training.hook import Batch, Graded, Moment, Setup, Snapshot, TrainingControl, TrainingHook, soft_labels
from ued_core.training.job import Job
from ued_core.training.loop import train
from ued_core.training.plan import AdamW, Plan, Sgd
from ued_core.training.simclr import SimClr

PLANS: Catalogue[Plan] = Catalogue("plan", [AdamW, Sgd, SimClr], group="ued_core.plans", base=Plan)

__all__ = [
    "PLANS",
    "AdamW",
    "Batch",
    "TrainingControl",
    "Graded",
    "Job",
    "Moment",
    "Plan",
    "Setup",
    "Sgd",
    "SimClr",
    "Snapshot",
    "TrainingHook",
    "accuracy",
    "features",
    "inside",
    "layer_fields",
    "predict",
    "soft_labels",
    "train",
]
