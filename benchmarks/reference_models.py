"""Train the small reference models in ``assets/reference``: python -m benchmarks.reference_models

One clean model for each embedded data set, with the default model and plan; their features are
what the app's layouts show.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ued_core.analysis.reference import FOLDER
from ued_core.context import Context
from ued_core.files import write_json
from ued_core.runs.pipeline import execute
from ued_core.runs.spec import RunSpec


def main() -> None:
    """Train and store all."""
    import torch

    torch.set_num_threads(1)
    for name in ("fashion", "shapes", "digits"):
        spec = RunSpec.from_json({"dataset": name, "seed": 0, "device": "cpu"})
        result = execute(spec, Context(), weights=FOLDER / f"{name}.safetensors")
        card = {
            "name": name,
            "command": "python -m benchmarks.reference_models",
            "spec": spec.to_json(),
            "shape": [3, 32, 32],
            "class_names": result.data.class_names,
            "clean_test_accuracy": result.last,
            "environment": result.environment.to_json(),
        }
        write_json(FOLDER / f"{name}.json", card)
        print(name, result.last)


if __name__ == "__main__":
    main()
