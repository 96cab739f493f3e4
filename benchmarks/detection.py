"""What the tests of :mod:`ued_core.analysis.detection` say of every attack that needs no crafting, and of clean images.

    python -m benchmarks.detection                              write assets/results/detection.json and print the table
    python -m benchmarks.detection --attacks "EM, class-wise"   examine these anew, and leave the other rows as they are

The attacks are those of the study ``attacks``. Those that train a surrogate are examined when their crafted set lies
ready under the home (``UED_HOME``), as that study leaves it; the others are skipped and named.
"""

from __future__ import annotations

import json
from typing import Any

SEED = 0


def main() -> None:
    """Examine and write."""
    import argparse

    import torch

    torch.set_num_threads(1)
    from ued_core.analysis.detection import COMMAND, FILE, examine
    from ued_core.attacks import ATTACKS
    from ued_core.attacks.checkpoint import poison_once
    from ued_core.attacks.whole_set import WholeSetAttack
    from ued_core.context import Context
    from ued_core.data import DATASETS, load_split
    from ued_core.files import write_json
    from ued_core.studies.shelf import study_files
    from ued_core.studies.study import Study

    # Those that differ from clean images in nothing but their attack.
    choices = Study.read(study_files()["attacks"]).by_axis["condition"].choices
    attacks = {choice.label: choice.set["attack"] for choice in choices if set(choice.set) == {"attack"}}
    attacks.pop("clean")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", nargs="*", choices=("clean", *attacks))
    wanted = parser.parse_args().attacks
    kept = (
        []
        if wanted is None
        else [r for r in json.loads(FILE.read_text(encoding="utf-8"))["rows"] if r["title"] not in wanted]
    )
    rows: list[dict[str, Any]] = []
    for dataset in ("shapes", "digits"):
        train = load_split(DATASETS.build(dataset, seed=SEED), Context()).train
        for name, spec in {"clean": None, **attacks}.items():
            if wanted is not None and name not in wanted:
                continue
            attack = ATTACKS.parse(spec) if spec else None
            if isinstance(attack, WholeSetAttack) and not attack.is_crafted(train, SEED):
                print(f"({dataset}, {name}: not crafted, skipped)")
                continue
            data = train if attack is None else poison_once(attack, train, Context(seed=SEED)).as_training_set()
            seen = examine(data, Context(seed=SEED))
            rows.append(
                {
                    "dataset": dataset,
                    "title": name,
                    "attack": attack and attack.to_json(),
                    "alarms": seen.alarms,
                    **seen.to_json(),
                }
            )
            print(f"({dataset}, {name}: {seen.alarms} alarms)", flush=True)
    order = [(dataset, name) for dataset in ("shapes", "digits") for name in ("clean", *attacks)]
    rows = sorted([*kept, *rows], key=lambda row: order.index((row["dataset"], row["title"])))
    write_json(FILE, {"command": COMMAND, "seed": SEED, "rows": rows})
    print(table(rows))


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: every value of every test (accuracies in per cent, the border score as it is), and the alarms."""
    from ued_core.analysis.detection import TESTS

    lines = [
        "| data | attack | " + " | ".join(test.title for test in TESTS.values()) + " | alarms |",
        "|---" * (3 + len(TESTS)) + "|",
    ]
    for row in found:
        cells = [f"{e['value']:.3f}" if e["test"] == "border" else f"{100 * e['value']:.1f}" for e in row["evidence"]]
        lines.append("| " + " | ".join([row["dataset"], row["title"], *cells, str(row["alarms"])]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
