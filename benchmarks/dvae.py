"""D-VAE at the size of a CPU: rate targets, the recovered perturbation, two stages against one, and what it costs clean
data.

    nice -n 10 python -m benchmarks.dvae             fill what is missing; finished rows and networks are kept
    python -m benchmarks.dvae --table                print the tables from the stored rows
    nice -n 10 python -m benchmarks.dvae --assets    train and write the networks that the page D-VAE ships

Data: 1,000 digits at 16×16 (every second pixel) and half their contrast around grey, so that noise is not cut off at
black. Networks of width 8 are trained for 1,240 steps of 16 images per stage, one of them for 2,976, on one thread; the
classifier is the default one, 15 epochs without crops or flips, tested on the 397 clean test images. Rows are stored in
``assets/results/dvae.json``. Everything that was trained is an artefact under the home, so nothing is trained twice.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from benchmarks import rows

if TYPE_CHECKING:
    from ued_core.defenses.dvae import Dvae

RESULTS = rows.RESULTS / "dvae.json"
TARGETS = (0.3, 0.6, 1.0, 3.0, 6.0)
COUNT = 1000


class Size(TypedDict):
    """What makes the networks of this table smaller than the paper's."""

    width: int
    batch_size: int


SIZE: Size = {"width": 8, "batch_size": 16}
EPOCHS, LONG = 20, 48
ATTACKS: dict[str, dict[str, Any] | None] = {
    "class-wise noise": {"name": "class_noise"},
    "LSP": {"name": "synper", "patch": 4},
    "clean": None,
    "noise in half of the images": {"name": "class_noise"},
    "noise in a fifth of the images": {"name": "class_noise"},
}
SHARES = {"noise in half of the images": 0.5, "noise in a fifth of the images": 0.2}
"""How many images are poisoned, where it is not all of them."""
SHIPPED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fashion", {"name": "cuda"}),
    ("fashion", {"name": "synper"}),
    ("shapes", {"name": "cuda"}),
    ("digits", {"name": "region"}),
)
"""What the page shows without training: the selection that every page starts with, bounded noise on the same data, and
two of before."""
SHIPPED_TARGETS = (0.3, 0.6, 1.0, 2.0, 4.0)
BEFORE, AFTER = 60, 8
"""Epochs at the loosest target, and then at each target."""
ARMS = ("as published", "stage 1: x − p̂", "one stage: x̂", "two stages")
PLAIN = "plain VAE"
PLAN = {"name": "adamw", "crop": 0, "flip": "off", "epochs": 15, "batch_size": 64}


def jobs(seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """What is measured, the most important first."""
    noise, other, clean, *parts = ATTACKS

    def one(attack: str, target: float, labels: str = "true", epochs: int = EPOCHS) -> dict[str, Any]:
        return {"part": "sweep", "attack": attack, "target": target, "labels": labels, "epochs": epochs}

    order = (1.0, 0.3, 3.0, 0.6, 6.0)
    first, second = ([one(attack, target) for target in order] for attack in (noise, other))
    control, long = [one(noise, 1.0, "shuffled")], [one(noise, 1.0, epochs=LONG), one(noise, 1.0, "shuffled", LONG)]
    arms = {a: [{"part": "stages", "attack": a, "arm": arm} for arm in ARMS] for a in ATTACKS}
    plain = [{"part": "stages", "attack": a, "arm": PLAIN} for a in (noise, other, clean)]
    begin = [*first[:1], *control, *first[1:], *arms[noise], *second[:1], *arms[other], *arms[clean]]
    wanted = [*begin, *long, *second[1:], *plain]
    for part in parts:
        wanted += [one(part, 1.0), *arms[part]]
    return [{**job, "seed": seed} for seed in seeds for job in wanted]


def name_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a row the row that it is."""
    return tuple(row.get(name) for name in ("part", "attack", "target", "labels", "epochs", "arm", "seed"))


def data_of(attack: str, seed: int) -> tuple[Any, Any, Any]:
    """Clean training images, what is published of them, and the clean test images."""
    import torch

    from ued_core.attacks import ATTACKS as KNOWN
    from ued_core.context import Context
    from ued_core.data import DATASETS

    split = DATASETS.build("digits").load(Context())
    train, test = (part.with_images(64 + part.images[:, :, ::2, ::2] // 2) for part in (split.train, split.test))
    clean = train.take(torch.arange(COUNT))
    recipe, share = ATTACKS[attack], SHARES.get(attack, 1.0)
    published = (
        clean if recipe is None else KNOWN.parse(recipe).poison(clean, Context(seed=seed), share).as_training_set()
    )
    return clean, published, test


def compute(job: dict[str, Any]) -> dict[str, Any]:
    """One row."""
    import torch

    from ued_core.context import Context

    torch.set_num_threads(1)
    clean, published, test = data_of(job["attack"], job["seed"])
    cpu = time.process_time()
    measured = (
        sweep_row(job, clean, published) if job["part"] == "sweep" else stages_row(job, clean, published, test, Context)
    )
    return {
        **job,
        **measured,
        "cpu_s": time.process_time() - cpu,
        "data_hash": published.content_hash,
        "torch": torch.__version__,
    }


def sweep_row(job: dict[str, Any], clean: Any, published: Any) -> dict[str, Any]:
    """One network at one rate target, against the perturbation that we know."""
    from ued_core.analysis.purification import measure_separation
    from ued_core.context import Context
    from ued_core.defenses.purified import purify_once

    defense = separation(job["target"], job["seed"], job["labels"], job["epochs"])
    made = purify_once(defense, published, Context())
    network = defense.trained(published, made, 1)
    told = defense.told_labels(published.labels)
    found = measure_separation(network, clean.images, published, Context(), told)
    trace = made.log["stages"][0]["trace"]
    steps = job["epochs"] * (len(published) // SIZE["batch_size"])
    return {"defence": defense.to_json(), **found.to_json(), "steps": steps, "trace": trace}


def separation(target: float, seed: int, labels: Literal["true", "shuffled"] = "true", epochs: int = EPOCHS) -> Dvae:
    """One stage at one target."""
    from ued_core.defenses.dvae import Dvae

    return Dvae(variant="subtraction", rate_1=target, seed=seed, labels=labels, epochs=epochs, **SIZE)


def stages_row(job: dict[str, Any], clean: Any, published: Any, test: Any, context: Any) -> dict[str, Any]:
    """Purify in one way and train the classifier on it."""
    from ued_core.analysis.purification import psnr
    from ued_core.models import MODELS
    from ued_core.training import PLANS, Job, train

    ctx = context(seed=job["seed"])
    images = purified(job["arm"], published, job["seed"])
    network = MODELS.build("small_cnn").build(clean.shape, clean.classes, ctx.generator("weights"))
    history = train(Job(published.with_images(images), test, network, PLANS.parse(PLAN), flip=False), ctx)
    return {
        "last": history.rows[-1]["test_accuracy"],
        "train_accuracy": history.rows[-1]["train_accuracy"],
        "psnr_clean": None if images is clean.images else psnr(images, clean.images),
        "plan": PLAN,
    }


def purified(arm: str, published: Any, seed: int) -> Any:
    """The images of one arm, uint8."""
    from ued_core.context import Context
    from ued_core.defenses.dvae import Dvae

    if arm == "as published":
        return published.images
    if arm == "stage 1: x − p̂":
        return separation(1.0, seed).purify(published, Context()).images
    if arm == "two stages":
        return Dvae(seed=seed, epochs=EPOCHS, **SIZE).purify(published, Context()).images
    if arm == PLAIN:
        return Dvae(variant="plain_vae", seed=seed, epochs=EPOCHS, **SIZE).purify(published, Context()).images
    return reconstructed(separation(1.0, seed), published)


def reconstructed(alone: Any, published: Any) -> Any:
    """x̂ of the network that was trained for the subtraction: the variant ``reconstruction`` trains the same one."""
    from ued_core.context import Context
    from ued_core.defenses.dvae import reconstruction_of

    return reconstruction_of(alone, published, Context())


def table(found: list[dict[str, Any]]) -> str:
    """Markdown: the sweep over rate targets, then what networks reach on purified sets, mean ± sd over seeds."""

    def cell(values: list[float | None], digits: int, scale: float = 1.0) -> str:
        return rows.spread(values, digits, scale)

    def both(some: list[dict[str, Any]]) -> str:
        if not some:
            return ""
        changed = cell([r["psnr_clean"] for r in some], 1)
        return cell([r["last"] for r in some], 1, 100) + (f" ({changed} dB)" if changed else "") + f" n{len(some)}"

    lines = [
        "| attack | labels | steps | target, nats | rate | x̂: PSNR to input | to clean | surviving | p̂ ~ its "
        "class's noise | ~ others' |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    sweeps = [r for r in found if r["part"] == "sweep"]
    kinds = sorted(
        {(r["attack"], r["labels"], r["steps"], r["target"]) for r in sweeps},
        key=lambda k: (k[0], k[1] != "true", *k[2:]),
    )
    for kind in kinds:
        own = [r for r in sweeps if (r["attack"], r["labels"], r["steps"], r["target"]) == kind]
        numbers = [
            ("nats", 2),
            ("psnr_input", 1),
            ("psnr_clean", 1),
            ("surviving", 3),
            ("found", 3),
            ("found_elsewhere", 3),
        ]
        cells = " | ".join(cell([r[n] for r in own], d) for n, d in numbers)
        lines.append("| {} | {} | {:,} | {:g} | ".format(*kind) + cells + " |")
    lines += ["", "| trained on | " + " | ".join(ATTACKS) + " |", "|---|" + "---|" * len(ATTACKS)]
    for arm in (*ARMS, PLAIN):
        stages = [r for r in found if r["part"] == "stages" and r["arm"] == arm]
        lines.append(f"| {arm} | " + " | ".join(both([r for r in stages if r["attack"] == a]) for a in ATTACKS) + " |")
    return "\n".join([*lines, "", f"Processor time: {sum(r['cpu_s'] for r in found):,.0f} s."])


def ship(only: str) -> None:
    """Train the networks that ship, and write them with what they were trained on.

    One network is trained at the loosest target; from there a copy goes on to each target, all for the same number of
    steps. That takes a third of the steps of five trainings, and is enough for looking at, not for purifying.
    """
    import torch

    from ued_core.attacks import ATTACKS as KNOWN
    from ued_core.context import Context
    from ued_core.data import DATASETS
    from ued_core.defenses.dvae import Dvae
    from ued_core.results.shipped_separations import write_shipped
    from ued_core.training.rate_constrained import DvaeJob, train_dvae

    torch.set_num_threads(1)
    for dataset, recipe in SHIPPED:
        if only not in ("", dataset):
            continue
        data, attack = DATASETS.build(dataset), KNOWN.parse(recipe)
        train = data.load(Context()).train
        taken = torch.cat([(train.labels == k).nonzero()[: COUNT // train.classes, 0] for k in range(train.classes)])
        published = attack.poison(train, Context(seed=0)).as_training_set().take(taken.sort().values)
        defense = Dvae(variant="subtraction", **SIZE)
        network = defense.network(published.shape, published.classes, Context().generator("shipped"))
        ctx = Context().with_seed(Context().stream_seed("shipped"))
        train_dvae(DvaeJob(published, network, max(SHIPPED_TARGETS), BEFORE, SIZE["batch_size"]), ctx)
        steps, made = (BEFORE + AFTER) * (len(published) // SIZE["batch_size"]), []
        for target in SHIPPED_TARGETS:
            copy = defense.network(published.shape, published.classes, torch.Generator())
            copy.load_state_dict(network.state_dict())
            ctx = Context().with_seed(Context().stream_seed("shipped", target))
            last = train_dvae(DvaeJob(published, copy, target, AFTER, SIZE["batch_size"]), ctx)[-1]
            made.append((target, copy.state_dict(), {"rate": last["rate"], "psnr": last["psnr"], "steps": steps}))
            print(dataset, attack.key, target, {name: round(value, 4) for name, value in last.items()}, flush=True)
        defence = {
            name: value for name, value in defense.to_json().items() if name not in ("rate_1", "rate_2", "epochs")
        }
        print(write_shipped(data.to_json(), attack.to_json(), 0, published, defence, made))


def main() -> None:
    """Fill, print or ship."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the tables from the stored rows")
    parser.add_argument("--assets", action="store_true", help="write the networks that the page ships")
    parser.add_argument(
        "--only", default="", choices=["", *(dataset for dataset, _ in SHIPPED)], help="with --assets: one data set"
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=(0,))
    options = parser.parse_args()
    if options.table:
        print(table(rows.stored_measurements(RESULTS)))
        return
    if options.assets:
        ship(options.only)
        return
    wanted = jobs(tuple(options.seeds))
    there = {name_of(row) for row in rows.stored_measurements(RESULTS)}
    for job in wanted:
        if name_of(job) in there:
            continue
        row = compute(job)
        rows.store_measurement(RESULTS, row, name_of, [name_of(j) for j in jobs((0, 1, 2))])
        shown = {k: round(v, 3) for k, v in row.items() if isinstance(v, float)}
        print(name_of(row), shown, flush=True)


if __name__ == "__main__":
    main()
