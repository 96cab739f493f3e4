"""What every entry of every catalogue promises; the tests loop over the lists, so a new entry is tested by being
listed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ued_core.attacks import ATTACKS
from ued_core.checks import Check, attack_checks, declaration_checks, defense_checks
from ued_core.checks.defenses import seen_and_previewed
from ued_core.checks.sample import batch, global_randomness_unused, image_set, other_value, quick, rng, with_threads
from ued_core.cli import catalogues
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.errors import Cancelled, ParameterError, UnknownName
from ued_core.models import MODELS, Model
from ued_core.params import Method
from ued_core.records import to_bytes, to_float
from ued_core.training import PLANS

ROOT = Path(__file__).resolve().parents[1]
# Those whose weights are a download are tested on random weights, tests/models/test_pretrained.py.
every_model = pytest.mark.parametrize("name", list(MODELS.where(needs_download=False)))
embedded_sets = pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if entry.embedded])


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks that train a surrogate keep it; no test may find that of another one."""
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


@pytest.fixture
def global_randomness() -> Iterator[None]:
    with global_randomness_unused():
        yield


# ---------------------------------------------------------------- declarations, attacks, defences


def checks_of(listed: Callable[[Any], list[Check]], entries: Iterable[type[Method]]) -> pytest.MarkDecorator:
    each = [pytest.param(check, id=f"{entry.key}-{check}") for entry in entries for check in listed(entry)]
    return pytest.mark.parametrize("check", each)


@checks_of(declaration_checks, [entry for kind in catalogues().values() for entry in kind.values()])
def test_declaration(check: Check) -> None:
    check()


@checks_of(lambda entry: attack_checks(entry)[len(declaration_checks(entry)) :], ATTACKS.values())
def test_attack(check: Check) -> None:
    check()


@checks_of(lambda entry: defense_checks(entry)[len(declaration_checks(entry)) :], DEFENSES.values())
def test_defence(check: Check) -> None:
    check()


@pytest.mark.parametrize("kind", list(catalogues()))
def test_unknown_names_offer_the_closest(kind: str) -> None:
    catalogue = catalogues()[kind]
    for name in catalogue:
        with pytest.raises(UnknownName) as caught:
            catalogue[f"{name}e"]
        assert f"'{name}'" in str(caught.value)
        assert catalogue.kind in str(caught.value)
    with pytest.raises(ParameterError, match="must be a name or an object"):
        catalogue.parse(["cuda"])


def test_keys_of_attacks_and_defences_differ() -> None:
    assert not set(ATTACKS) & set(DEFENSES)


@pytest.mark.slow
def test_memory_is_bounded_by_the_chunk(tmp_path: Path) -> None:
    """12,000 images are 37 MB as bytes and 147 MB as floats: only the result may grow with the data set."""
    code = """
        import psutil, sys, threading, numpy as np, torch
        from ued_core.attacks import ATTACKS
        from ued_core.context import Context
        from ued_core.defenses import DEFENSES, DefenseStack
        from ued_core.records import ImageSet
        torch.set_num_threads(1)

        def grown(work):
            # Sampled, because the kernel's own maximum of a child begins with that of its parent.
            process, over = psutil.Process(), threading.Event()
            before = process.memory_info().rss
            sizes = [before]
            def watch():
                while not over.wait(0.001):
                    sizes.append(process.memory_info().rss)
            thread = threading.Thread(target=watch)
            thread.start()
            work()
            over.set()
            thread.join()
            return (max(sizes) - before) >> 20

        count = 12_000
        file = np.lib.format.open_memmap(sys.argv[1], mode="w+", dtype=np.uint8, shape=(count, 3, 32, 32))
        file[:] = np.arange(32, dtype=np.uint8)
        del file
        mapped = torch.from_numpy(np.load(sys.argv[1], mmap_mode="c"))
        data = ImageSet(mapped, torch.arange(count) % 10, tuple("0123456789"), "large")
        small = data.take(torch.arange(500))
        for works in ([lambda d, a=a: a().poison(d, Context()) for a in ATTACKS.values() if not a.needs_whole_set],
                      [lambda d, a=a: DefenseStack([a()]).preview(d, Context()) for a in DEFENSES.values() if not
                      a.needs_whole_set]):
            for work in works:
                work(small)
                data.images.sum()
                print(grown(lambda: work(data)))
    """
    # glibc keeps what earlier work freed for reuse, which hides growth; large blocks above a fixed size go back at
    # once.
    settings = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | settings
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "images.npy")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True)
    grown = [int(word) for word in done.stdout.split()]
    # Methods that train a network first would take minutes; tests/attacks/test_crafting.py measures attacks at quick
    # values.
    assert len(grown) == sum(not method.needs_whole_set for method in (*ATTACKS.values(), *DEFENSES.values()))
    assert min(grown) > 25, "the result itself must show"
    # The result, and room for the work on a chunk.
    assert max(grown) < 37 + 130, grown


@pytest.mark.parametrize(
    "names",
    [
        ("cutout", "coin"),
        ("random_affine", "gated_coin"),
        ("jpeg", "coin"),
        ("orthogonal_projection", "random_noise"),
        ("dvae", "cutmix"),
    ],
    ids="+".join,
)
def test_preview_of_a_stack_shows_what_training_sees(names: tuple[str, str]) -> None:
    """Two that act on every batch, one of them on chosen images, and one that purifies before one that acts on every
    batch."""
    data, ctx = image_set(count=40), Context(seed=8)
    # Every second image has a dark frame, so that some are chosen.
    data.images[::2, :, [0, -1]] //= 4
    data.images[::2, :, :, [0, -1]] //= 4
    first, second = (DEFENSES.build(name, **DEFENSES[name].quick_values()) for name in names)
    seen, expected = seen_and_previewed(DefenseStack([first, second]), data, ctx)
    assert torch.equal(seen, expected)
    if second.chosen(data) is None:
        # Written out: the first one first.
        pure, draws = second.purify(first.purify(data, ctx), ctx), ctx.generator("train", 0)
        rows = torch.randperm(len(data), generator=ctx.generator("order", 0))[:16]
        once = first.blend(to_float(pure.images[rows]), pure.labels[rows], 4, draws)
        assert torch.equal(to_bytes(second.blend(*once, 4, draws)[0]), expected)
    assert not torch.equal(seen_and_previewed(DefenseStack([first]), data, ctx)[0], expected)
    assert not torch.equal(seen_and_previewed(DefenseStack([second]), data, ctx)[0], expected)
    if "augment" in first.acts:
        assert not torch.equal(seen_and_previewed(DefenseStack([second, first]), data, ctx)[0], expected), (
            "the order of the stack does not matter"
        )


# ---------------------------------------------------------------- data sets


@embedded_sets
@pytest.mark.usefixtures("global_randomness")
def test_embedded_data_set(name: str) -> None:
    dataset = DATASETS.build(name, **DATASETS[name].quick_values())
    split = dataset.load(Context())
    assert split.train.shape == split.test.shape == (3, 32, 32)
    assert split.train.class_names == split.test.class_names
    assert all(isinstance(name, str) and name for name in split.train.class_names)
    for part in (split.train, split.test):
        counts = torch.bincount(part.labels, minlength=part.classes)
        assert counts.min() > 0
        assert counts.max() <= 1.3 * counts.min() + 1, "the classes are not balanced"
        assert part.images.max() > 200, "images should use the range of bytes"
        assert part.images.float().std() > 20
    train_bytes = {image.numpy().tobytes() for image in split.train.images}
    assert not any(image.numpy().tobytes() in train_bytes for image in split.test.images), "a test image is trained on"
    with quick():
        again = dataset.load(Context(seed=99))
    assert again.train.content_hash == split.train.content_hash, "neither the context's seed nor the call may matter"
    assert again.test.content_hash == split.test.content_hash


@embedded_sets
def test_a_data_set_does_not_depend_on_the_number_of_threads(name: str) -> None:
    """Crafted and purified sets are found by a hash of the images: a worker has not as many threads as the server."""
    dataset = DATASETS.build(name, **DATASETS[name].quick_values())
    drawn = [dataset.load(Context()) for _ in with_threads()]
    assert len({(split.train.content_hash, split.test.content_hash) for split in drawn}) == 1


@embedded_sets
def test_every_parameter_of_a_data_set_matters(name: str) -> None:
    dataset = DATASETS.build(name, **DATASETS[name].quick_values())
    plain = dataset.load(Context())
    for p in dataset.parameters():
        changed = dataset.with_values(**{p.name: other_value(p)})
        split = changed.load(Context())
        hashes = (split.train.content_hash, split.test.content_hash)
        assert hashes != (plain.train.content_hash, plain.test.content_hash), f"{p.name} changes nothing"
        assert changed.identity() != dataset.identity()


@pytest.mark.parametrize("name", list(DATASETS))
def test_recommended_plans_are_legal(name: str) -> None:
    for plan in PLANS.values():
        made = plan(**DATASETS[name].recommended_plan)
        assert all(getattr(made, k) == v for k, v in DATASETS[name].recommended_plan.items())


@embedded_sets
def test_data_sets_can_be_cancelled(name: str) -> None:
    with pytest.raises(Cancelled):
        DATASETS.build(name, **DATASETS[name].quick_values()).load(Context(stop=lambda: True))


# ---------------------------------------------------------------- models and plans


@every_model
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32), (3, 64, 64), (2, 40, 24)], ids=str)
@pytest.mark.usefixtures("global_randomness")
def test_model(name: str, shape: tuple[int, int, int]) -> None:
    model = MODELS.build(name, **MODELS[name].quick_values())
    network = model.build(shape, 7, rng(4))
    images = batch(5, shape)
    network.eval()
    with torch.no_grad():
        features, scores = network.features(images), network(images)
    assert features.shape == (5, network.head.in_features)
    assert scores.shape == (5, 7)
    assert torch.allclose(scores, network.head(features), atol=1e-5)
    # Relative: before training, running statistics are no statistics, and deep networks without them shrink what
    # passes.
    assert scores.std(0).min() > 1e-3 * scores.abs().max() > 0, "different images must give different scores"
    assert torch.isfinite(scores).all()
    same, other = model.build(shape, 7, rng(4)).state_dict(), model.build(shape, 7, rng(5)).state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(value, same[key])
    drawn = [key for key, value in network.state_dict().items() if value.is_floating_point() and value.ndim > 1]
    if model.starts_pretrained:
        drawn = [key for key in drawn if key.startswith("head.")]
    assert all(not torch.equal(same[key], other[key]) for key in drawn)


@every_model
def test_weights_do_not_depend_on_global_seeds(name: str) -> None:
    model = MODELS.build(name, **MODELS[name].quick_values())
    torch.manual_seed(1)
    first = model.build((3, 32, 32), 4, rng(4)).state_dict()
    torch.manual_seed(2)
    assert all(torch.equal(v, first[k]) for k, v in model.build((3, 32, 32), 4, rng(4)).state_dict().items())


@every_model
def test_every_parameter_of_a_model_matters(name: str) -> None:
    def outcome(model: Model) -> list[float]:
        """Numbers of weights and scores: some parameters change what is computed with the same weights."""
        network = model.build((3, 32, 32), 4, rng()).eval()
        with torch.no_grad():
            return [
                *(float(p.numel()) for p in network.parameters()),
                *network(batch(2, (3, 32, 32))).flatten().tolist(),
            ]

    model = MODELS.build(name, **MODELS[name].quick_values())
    plain = outcome(model)
    for p in model.parameters():
        if p.path:
            continue
        assert outcome(model.with_values(**{p.name: other_value(p)})) != plain, f"{p.name} changes nothing"


@every_model
def test_every_weight_gets_a_gradient(name: str) -> None:
    network = MODELS.build(name, **MODELS[name].quick_values()).build((3, 32, 32), 4, rng())
    torch.nn.functional.cross_entropy(network(batch(8, (3, 32, 32))), torch.arange(8) % 4).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())


@pytest.mark.parametrize("name", list(PLANS))
def test_optimizer_takes_the_plans_numbers(name: str) -> None:
    weights = torch.nn.Parameter(torch.ones(3))
    plan = PLANS.build(name, learning_rate=0.0625, weight_decay=0.125)
    group = plan.optimizer([weights]).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.0625, 0.125)
    for p in plan.parameters():
        if p.name in group:
            assert group[p.name] == getattr(plan, p.name)
