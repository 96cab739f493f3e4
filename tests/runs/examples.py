"""What the files of a sound run hold, for tests that write them without training."""

from __future__ import annotations

from typing import Any

RESULT: dict[str, Any] = {
    "epochs": 2,
    "last": 0.25,
    "best": 0.5,
    "train_accuracy": 0.75,
    "train_seconds": 4.0,
    "poisoned_accuracy": 0.75,
    "touched_accuracy": 0.5,
    "untouched_accuracy": 0.75,
    "probe": {
        "clean_accuracy": 0.25,
        "own_accuracy": 0.75,
        "wrong_true_rate": 0.25,
        "wrong_perturbation_rate": 0.5,
        "wrong_other_rate": 0.25,
        "clean_histogram": [0.25, 0.75],
        "images": 100,
    },
    "crafting": {"converged": True, "note": "crafted", "trace": [0.5, 0.25], "seconds": 3.0, "stopped_early": ""},
    "purification": [{"name": "dvae", "seconds": 1.0}],
    "training": [{"name": "adversarial_training", "steps": 3}],
    "treated": {"coin": 0.5},
    "poison_seconds": 1.0,
    "data": {
        "train": 200,
        "test": 100,
        "class_names": ["a", "b"],
        "notes": ["a note"],
        "clean_hash": "0a",
        "trained_on_hash": "0b",
    },
    "environment": {
        "device": "cpu",
        "device_name": "x86_64",
        "precision": "float32",
        "threads": 1,
        "torch": "2.0",
        "numpy": "2.0",
        "python": "3.11",
    },
    "seconds": 9.0,
    "history": [
        {"epoch": 1, "loss": 2.0, "train_accuracy": 0.5, "test_accuracy": 0.5, "seconds": 2.0, "images_per_s": 100.0},
        {"epoch": 2, "loss": 1.0, "train_accuracy": 0.75, "test_accuracy": 0.25, "seconds": 2.0, "images_per_s": 100.0},
    ],
    "attempts": 1,
}
