"""What every entry of every catalogue promises; the tests loop over the lists, so a new entry is tested by being
listed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ued_core.attacks import ATTACKS
from ued_core.attacks.base import AdditiveAttack, touched_rows
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.cli import catalogues
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import DEFENSES, Defense, blend_all, marks_of, preview, purify_all
from ued_core.errors import Cancelled, ParameterError, UnknownName
from ued_core.models import MODELS, Model
from ued_core.params import Catalogue, Method, Parameter
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training import PLANS, Job, Setup, soft_labels, train

ROOT = Path(__file__).resolve().parents[1]
EVERY = [pytest.param(c, entry, id=f"{kind}-{entry.key}") for kind, c in catalogues().items() for entry in c.values()]
every_entry = pytest.mark.parametrize(("catalogue", "entry"), EVERY)
every_attack = pytest.mark.parametrize("name", list(ATTACKS))
every_additive_attack = pytest.mark.parametrize(
    "name", [name for name, entry in ATTACKS.items() if issubclass(entry, AdditiveAttack)]
)
every_crafted_attack = pytest.mark.parametrize(
    "name", [name for name, entry in ATTACKS.items() if entry.needs_whole_set]
)
every_defense = pytest.mark.parametrize("name", list(DEFENSES))
every_training_defense = pytest.mark.parametrize(
    "name", [name for name, entry in DEFENSES.items() if "training" in entry.acts]
)
every_model = pytest.mark.parametrize("name", list(MODELS))
embedded_sets = pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if entry.embedded])


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks that train a surrogate keep it; no test may find that of another one."""
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


def image_set(count: int = 24, classes: int = 4, shape: tuple[int, int, int] = (3, 12, 12), seed: int = 0) -> ImageSet:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def other_value(p: Parameter, value: Any = None) -> Any:
    """A legal value that is neither ``value`` nor far from it; the default's neighbour when it is left out."""
    value = p.default if value is None else value
    if p.kind == "bool":
        return not value
    if p.kind == "choice":
        return next(c for c in p.choices if c != value)
    if p.kind == "text":
        return f"{value}other"
    low = p.minimum if p.minimum is not None else value - 2
    high = p.maximum if p.maximum is not None else value + 2
    middle = (low + high) / 2
    if p.kind == "int":
        # An even distance keeps odd values odd, for kernel sizes.
        return value + 2 if value + 2 <= high else value - 2
    return middle if abs(middle - value) > (high - low) / 100 else (middle + high) / 2


@pytest.fixture
def global_randomness() -> Iterator[None]:
    """Fails when the test's body drew from, or seeded, a global random state."""
    before = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0]), "torch's global random state was used"
    assert str(np.random.get_state()) == before[1], "numpy's global random state was used"  # noqa: NPY002
    assert random.getstate() == before[2], "Python's global random state was used"


def with_threads() -> Iterator[int]:
    """Sets torch's number of threads to one, two and three in turn, and at the end to what it was."""
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            yield threads
    finally:
        torch.set_num_threads(before)


@contextmanager
def quick() -> Iterator[None]:
    """At most 3 s of this process's own time, whatever else the machine does; for a call after the first."""
    began = time.process_time()
    yield
    assert time.process_time() - began <= 3


# ---------------------------------------------------------------- declarations


@every_entry
def test_description_is_complete(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    told = entry.describe()
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(told, allow_nan=False))
    assert told["name"] == entry.key == entry.key.lower()
    assert told["title"]
    assert told["summary"].endswith((".", ":"))
    assert len(told["summary"]) > 15
    assert len(told["source"]) > 10, f"{entry.__name__} says no Source"
    assert "name" not in entry.model_fields, "to_json() writes the entry's own name under this key"
    for p in told["parameters"]:
        assert len(p["help"]) > 10
        assert p["label"]


@every_entry
def test_defaults_and_quick_values_are_legal(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    needed = {p.name: "x" for p in entry.parameters() if p.kind == "text" and not p.default}
    default = entry(**needed)
    for p in entry.parameters():
        assert p.name in needed or getattr(default, p.name) == p.default
        if p.minimum is not None:
            assert p.minimum <= p.default
        if p.maximum is not None:
            assert p.default <= p.maximum
        if p.kind == "choice":
            assert p.default in p.choices
        if p.step is not None:
            steps = (p.default - p.minimum) / p.step
            assert abs(steps - round(steps)) < 1e-6, f"a slider with step {p.step} never stands on {p.name}'s default"
    entry(**needed, **{k: v for k, v in entry.quick_values().items() if k not in needed})


@every_entry
def test_unknown_parameter(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    for name, expected in [(f"{p.name[:-1]}", p.name) for p in entry.parameters()] + [("zzzz", entry.title)]:
        if name in entry.model_fields or not name:
            continue
        with pytest.raises(ParameterError) as caught:
            entry(**{name: 1})
        assert repr(name) in str(caught.value)
        assert expected in str(caught.value)


@every_entry
def test_values_outside_are_refused_with_value_and_rule(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    for p in entry.parameters():
        wrong: list[Any] = ["no such value"] if p.kind != "text" else [3]
        if p.minimum is not None:
            wrong.append(p.minimum - (1 if p.kind == "int" else 1e-3))
        if p.maximum is not None:
            wrong.append(p.maximum + (1 if p.kind == "int" else 1e-3))
        if p.kind == "float":
            wrong += [float("nan"), float("inf"), None]
        if p.kind == "int":
            wrong += [p.default + 0.5, None, []]
        for value in wrong:
            with pytest.raises(ParameterError) as caught:
                entry(**{p.name: value})
            for part in (p.name, repr(value), p.rule, entry.title):
                assert part in str(caught.value)


@every_entry
def test_limits_are_allowed(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    for p in entry.parameters():
        for value in (p.minimum, p.maximum):
            if value is None:
                continue
            try:
                made = entry(**{p.name: int(value) if p.kind == "int" else value})
            except ParameterError as error:
                # A rule between several parameters may exclude a limit, but must say so in its own words.
                told = str(error)
            else:
                told = ""
                assert getattr(made, p.name) == value
            assert p.rule not in told


@every_entry
def test_json_round_trip(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    needed = {p.name: "x" for p in entry.parameters() if p.kind == "text" and not p.default}
    first = entry(**needed)
    assert catalogue.parse(json.loads(json.dumps(first.to_json()))) == first
    for p in entry.parameters():
        changed = first.with_values(**{p.name: other_value(p)})
        again = catalogue.parse(json.loads(json.dumps(changed.to_json())))
        assert again == changed
        assert hash(again) == hash(changed)
        assert again != first
    assert entry(**needed) == first
    assert len({first, entry(**needed)}) == 1
    if not needed:
        assert catalogue.parse(entry.key) == first


@every_entry
def test_entries_are_frozen(catalogue: Catalogue[Method], entry: type[Method]) -> None:
    needed = {p.name: "x" for p in entry.parameters() if p.kind == "text" and not p.default}
    made = entry(**needed)
    for p in entry.parameters():
        with pytest.raises(Exception, match="frozen"):
            setattr(made, p.name, other_value(p))


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


# ---------------------------------------------------------------- attacks


@every_attack
@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 12, 12), (3, 9, 17)], ids=["RGB", "grey", "not square"])
@pytest.mark.usefixtures("global_randomness")
def test_attack_poisons(name: str, shape: tuple[int, int, int]) -> None:
    data = image_set(shape=shape)
    images, labels = data.images.clone(), data.labels.clone()
    attack = ATTACKS.build(name, **ATTACKS[name].quick_values())
    poisoned = attack.poison(data, Context(seed=3))
    assert poisoned.images.dtype == torch.uint8
    assert poisoned.images.shape == data.images.shape
    assert poisoned.touched.all()
    assert (poisoned.delta.flatten(1).abs().amax(1) > 0).all(), "an image that was said to be poisoned is unchanged"
    assert torch.equal(data.images, images), "the clean images were changed"
    assert torch.equal(data.labels, labels)
    assert poisoned.as_training_set().labels is data.labels
    assert (poisoned.attack, poisoned.seed) == (attack.to_json(), 3)
    with quick():
        assert torch.equal(attack.poison(data, Context(seed=3)).images, poisoned.images)
    assert torch.equal(attack.poison(data, Context(seed=4)).images, poisoned.images) == (not attack.keyed)


@every_attack
def test_attack_does_not_depend_on_global_seeds(name: str) -> None:
    attack, data = ATTACKS.build(name, **ATTACKS[name].quick_values()), image_set()
    torch.manual_seed(1)
    first = attack.poison(data, Context(seed=3)).images
    torch.manual_seed(2)
    assert torch.equal(attack.poison(data, Context(seed=3)).images, first)


@pytest.mark.parametrize("name", [name for name in ATTACKS if not issubclass(ATTACKS[name], WholeSetAttack)])
def test_an_attack_does_not_depend_on_the_number_of_threads(name: str) -> None:
    """Purified sets are found by a hash of the poisoned images. Crafting trains networks, whose sums depend on it."""
    data, attack = image_set(count=300, shape=(3, 32, 32)), ATTACKS.build(name, **ATTACKS[name].quick_values())
    assert len({attack.poison(data, Context(seed=3)).as_training_set().content_hash for _ in with_threads()}) == 1


@every_attack
def test_poison_rate(name: str) -> None:
    data, attack = image_set(count=600), ATTACKS.build(name, **ATTACKS[name].quick_values())
    some = attack.poison(data, Context(seed=5), poison_rate=0.4)
    share = float(some.touched.float().mean())
    # Four standard deviations of a binomial share.
    assert abs(share - 0.4) < 4 * (0.4 * 0.6 / 600) ** 0.5
    assert torch.equal(some.images[~some.touched], data.images[~some.touched])
    assert (some.delta[some.touched].flatten(1).abs().amax(1) > 0).all()
    assert torch.equal(touched_rows(data, Context(seed=5), 0.4), some.touched)
    assert not torch.equal(touched_rows(data, Context(seed=6), 0.4), some.touched)
    assert torch.equal(attack.poison(data, Context(seed=5), poison_rate=0.0).images, data.images)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ParameterError, match="from 0 to 1"):
            attack.poison(data, Context(), poison_rate=wrong)


@every_attack
def test_class_subset(name: str) -> None:
    """A subset touches its classes alone, and the images that all classes at this rate would have touched."""
    data, attack = image_set(count=200), ATTACKS.build(name, **ATTACKS[name].quick_values())
    some = attack.poison(data, Context(seed=5), poison_classes=[2, 0, 2])
    assert torch.equal(some.touched, (data.labels == 0) | (data.labels == 2))
    assert torch.equal(some.images[~some.touched], data.images[~some.touched])
    assert (some.delta[some.touched].flatten(1).abs().amax(1) > 0).all()
    half = touched_rows(data, Context(seed=5), 0.5)
    both = attack.poison(data, Context(seed=5), poison_rate=0.5, poison_classes=[0, 2])
    assert torch.equal(both.touched, half & some.touched)
    with pytest.raises(ParameterError, match="Class 4 is to be poisoned, but 'random' has 4 classes"):
        attack.poison(data, Context(), poison_classes=[4])


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 9, 17)], ids=["RGB", "grey, not square"])
@every_additive_attack
def test_norm_bound_holds_before_and_after_storage(name: str, shape: tuple[int, int, int]) -> None:
    """Black and white images show both signs before clipping; bytes may leave an L2 ball by what rounding adds."""
    base = ATTACKS.build(name, **ATTACKS[name].quick_values())
    for rounding in ("nearest", "truncate") if "rounding" in ATTACKS[name].model_fields else ("nearest",):
        attack = base.with_values(rounding=rounding) if rounding == "truncate" else base
        data = image_set(count=60, shape=shape)
        data.images[:20], data.images[20:40] = 0, 255
        bound, size = attack.bound(data.shape), float(np.prod(shape)) ** 0.5
        delta = attack.delta(data, torch.arange(60), Context(seed=3))
        assert (delta.dtype, delta.shape, delta.device.type) == (torch.float32, data.images.shape, "cpu")
        assert delta.isfinite().all()
        assert delta.min() < 0 < delta.max()
        stored = attack.poison(data, Context(seed=3)).delta
        assert torch.equal(stored, to_levels(data.images, delta, rounding) - data.images.short())
        if bound.norm == "linf":
            assert bound.size == round(bound.size), "a fraction of a level would let rounding leave the ball"
            assert 0.5 * bound.size < float(delta.abs().max()) <= bound.size
            assert int(stored.abs().max()) <= bound.size
        else:
            before, after = delta.flatten(1).norm(dim=1), stored.float().flatten(1).norm(dim=1)
            assert float(before.max()) <= bound.size * (1 + 1e-5)
            assert float(after.max()) <= bound.size + size * (0.5 if rounding == "nearest" else 1)


@every_crafted_attack
def test_norm_bound_of_crafted_sets_holds_after_storage(name: str) -> None:
    """Black and white images too, where clipping meets the bound."""
    attack, data = ATTACKS.build(name, **ATTACKS[name].quick_values()), image_set(count=48)
    data.images[:8], data.images[8:16] = 0, 255
    bound, delta = attack.bound(data.shape), attack.poison(data, Context(seed=3)).delta
    if bound.norm == "linf":
        assert int(delta.abs().max()) <= bound.size
    else:
        assert float(delta.float().flatten(1).norm(dim=1).max()) <= bound.size + 0.5 * float(np.prod(data.shape)) ** 0.5


@every_attack
def test_perturbations_belong_to_images_or_to_groups(name: str) -> None:
    """Away from black and white nothing is clipped: as many perturbations as images, or at most one per class or a
    cluster."""
    attack, data = ATTACKS.build(name, **ATTACKS[name].quick_values()), image_set(count=48)
    data = data.with_images(64 + data.images // 2)
    delta = attack.poison(data, Context(seed=3)).delta
    found = len({one.numpy().tobytes() for one in delta})
    assert found > 0.99 * len(data) or found <= max(data.classes, getattr(attack, "clusters", 0)), found


LABELS_DO_NOT_MATTER = {"uc"}


@every_attack
def test_labels_matter(name: str) -> None:
    """Images alone decide only where that is the point of the attack."""
    attack, data = ATTACKS.build(name, **ATTACKS[name].quick_values()), image_set()
    # Shuffled, not renamed: other images go together.
    shuffled = data.labels[torch.randperm(len(data), generator=torch.Generator().manual_seed(1))]
    other = ImageSet(data.images, shuffled, data.class_names, data.name)
    same = torch.equal(attack.poison(data, Context(seed=3)).images, attack.poison(other, Context(seed=3)).images)
    assert same == (name in LABELS_DO_NOT_MATTER)


def to_levels(images: torch.Tensor, delta: torch.Tensor, rounding: str) -> torch.Tensor:
    """Add, clip, round, written once more with numpy; int16."""
    total = np.clip(images.numpy().astype(np.float32) + delta.numpy(), 0, 255)
    return torch.from_numpy((np.rint(total) if rounding == "nearest" else np.floor(total)).astype(np.int16))


@every_additive_attack
def test_perturbation_of_an_image_does_not_depend_on_the_others(name: str) -> None:
    data, attack = image_set(count=600, shape=(3, 6, 6)), ATTACKS.build(name, **ATTACKS[name].quick_values())
    whole = attack.delta(data, torch.arange(600), Context(seed=3))
    rows = torch.tensor([599, 3, 255, 256, 257])
    assert torch.allclose(attack.delta(data, rows, Context(seed=3)), whole[rows], rtol=0, atol=1e-4)
    part, full = attack.poison(data, Context(seed=3), poison_rate=0.4), attack.poison(data, Context(seed=3))
    difference = (part.delta - full.delta)[part.touched].abs()
    # A matrix product may sum in another order for another number of rows, so a value beside a half may fall to the
    # other side.
    assert int(difference.max()) <= 1
    assert float((difference > 0).float().mean()) < 1e-3


@every_attack
def test_every_parameter_of_an_attack_matters(name: str) -> None:
    data, attack = image_set(), ATTACKS.build(name, **ATTACKS[name].quick_values())
    plain = attack.poison(data, Context(seed=3)).images
    for p in attack.parameters():
        changed = attack.with_values(**{p.name: other_value(p, getattr(attack, p.name))})
        assert not torch.equal(changed.poison(data, Context(seed=3)).images, plain), f"{p.name} changes nothing"


@every_attack
def test_attack_can_be_cancelled_and_reports(name: str) -> None:
    count = 1_000 if ATTACKS[name].needs_whole_set else 10_000
    attack, data = ATTACKS.build(name, **ATTACKS[name].quick_values()), image_set(count=count, shape=(3, 6, 6))
    with pytest.raises(Cancelled):
        attack.poison(data, Context(stop=lambda: True))
    seen: list[float] = []
    attack.poison(data, Context(on_report=lambda done, total, text: seen.append(done / total)))
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) > 1


@every_attack
def test_attack_asks_at_least_every_two_seconds_whether_to_stop(name: str) -> None:
    """Seconds of this process's own time, so that a busy machine changes nothing; at the default values."""
    entry = ATTACKS[name]
    attack, data = entry(), image_set(count=600, shape=(3, 32, 32))
    began, gaps = time.process_time(), [0.0]
    last = began

    def stop() -> bool:
        nonlocal last
        now = time.process_time()
        gaps.append(now - last)
        last = now
        return now - began > 1.5

    try:
        attack.poison(data, Context(stop=stop))
    except Cancelled:
        gaps.append(time.process_time() - last)
    assert len(gaps) > 1
    assert max(gaps) <= 2


@every_attack
def test_one_image_and_one_class(name: str) -> None:
    attack = ATTACKS.build(name, **ATTACKS[name].quick_values())
    assert attack.poison(image_set(count=1, classes=1), Context()).images.shape == (1, 3, 12, 12)


@every_attack
def test_as_class_agrees_with_poison(name: str) -> None:
    data, attack = image_set(), ATTACKS.build(name, **ATTACKS[name].quick_values())
    own = attack.as_class(data.images, data.labels, data.classes, 3, data)
    if own is not None:
        assert torch.equal(own, attack.poison(data, Context(seed=3)).images)
        other = attack.as_class(data.images, (data.labels + 1) % data.classes, data.classes, 3, data)
        assert not torch.equal(other, own)


@pytest.mark.slow
def test_memory_is_bounded_by_the_chunk(tmp_path: Path) -> None:
    """12,000 images are 37 MB as bytes and 147 MB as floats: only the result may grow with the data set."""
    code = """
        import psutil, sys, threading, numpy as np, torch
        from ued_core.attacks import ATTACKS
        from ued_core.context import Context
        from ued_core.defenses import DEFENSES, preview
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
                      [lambda d, a=a: preview((a(),), d, Context()) for a in DEFENSES.values() if not
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


# ---------------------------------------------------------------- defences


def batch(count: int = 40, shape: tuple[int, int, int] = (3, 12, 10), seed: int = 0) -> torch.Tensor:
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(seed))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blended(defense: Defense, images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """What the batch hook makes of images of four classes."""
    return blend_all((defense,), images, torch.arange(len(images)) % 4, 4, draws)[0]


def trained(
    defense: Defense, data: ImageSet, ctx: Context, rows: list[dict[str, float]] | None = None
) -> tuple[torch.Tensor, str]:
    """All weights of a small network after two epochs under this defence alone, and what the hook reports; adds the
    history to ``rows``."""
    plan = PLANS.build("adamw", epochs=2, batch_size=12, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    hook = defense.training(Setup(data, network, plan, ctx))
    assert hook is not None
    job = Job(
        data, data, network, plan, blend=lambda *batch: defense.blend(*batch[:2], data.classes, batch[2]), hooks=(hook,)
    )
    history = train(job, ctx)
    if rows is not None:
        rows += [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history.rows]
    return torch.cat([p.detach().flatten() for p in network.parameters()]), json.dumps(hook.report())


@every_defense
@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 12, 12), (3, 9, 17)], ids=["RGB", "grey", "not square"])
@pytest.mark.usefixtures("global_randomness")
def test_augment(name: str, shape: tuple[int, int, int]) -> None:
    defense = DEFENSES.build(name, **DEFENSES[name].quick_values())
    images = batch(shape=shape)
    before = images.clone()
    first = blended(defense, images, rng(1))
    assert (first.shape, first.dtype, first.device) == (images.shape, torch.float32, images.device)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(images, before), "the batch that was given was changed"
    with quick():
        assert torch.equal(blended(defense, images, rng(1)), first), "the same generator must give the same batch"
    assert blended(defense, images[:1], rng(1)).shape == images[:1].shape
    if "augment" in defense.acts:
        assert not torch.equal(first, images)
        assert not torch.equal(blended(defense, images, rng(2)), first)
    else:
        assert torch.equal(first, images)


@every_defense
def test_declared_hooks_are_the_overridden_ones(name: str) -> None:
    entry = DEFENSES[name]
    methods = {"purify": "purify", "augment": "augment", "blend": "augment", "training": "training"}
    own = {hook for name, hook in methods.items() if getattr(entry, name) is not getattr(Defense, name)}
    assert own == entry.acts
    assert own


@every_defense
@pytest.mark.usefixtures("global_randomness")
def test_purify_keeps_labels_and_its_input(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set()
    before = data.images.clone()
    pure = defense.purify(data, Context(seed=1))
    assert torch.equal(pure.labels, data.labels)
    assert (pure.shape, len(pure), pure.class_names) == (data.shape, len(data), data.class_names)
    assert torch.equal(data.images, before)
    assert torch.equal(defense.purify(data, Context(seed=1)).images, pure.images)
    # In an empty home, so that what was learned is learned again and counts.
    monkeypatch.setenv("UED_HOME", str(tmp_path / "empty"))
    assert (defense.seconds_before(data) > 0) == defense.needs_whole_set
    with quick():
        again = defense.purify(data, Context(seed=1)).images
    assert torch.equal(again, pure.images)


@every_training_defense
@pytest.mark.usefixtures("global_randomness")
def test_training_hook_repeats_itself(name: str) -> None:
    """The same seed ends in the same weights by the same history, in at most 3 s; another seed in others."""
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set()
    histories: list[list[dict[str, float]]] = [[], [], []]
    weights, told = trained(defense, data, Context(seed=3), histories[0])
    with quick():
        again = trained(defense, data, Context(seed=3), histories[1])
    assert torch.equal(again[0], weights)
    assert again[1] == told
    assert histories[1] == histories[0]
    assert not torch.equal(trained(defense, data, Context(seed=4), histories[2])[0], weights)
    assert histories[2] != histories[0]


@every_defense
def test_every_parameter_of_a_defence_matters(name: str) -> None:
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set()

    def outcome(configured: Defense) -> tuple[torch.Tensor, str]:
        if "training" in configured.acts:
            return trained(configured, data, Context())
        pure = configured.purify(data, Context())
        marks = marks_of((configured,), pure)
        images, targets = blend_all((configured,), to_float(pure.images), data.labels, data.classes, rng(1), marks)
        return torch.cat([images.flatten(), soft_labels(targets, data.classes).flatten()]), ""

    plain, told = outcome(defense)
    for p in defense.parameters():
        changed = defense.with_values(**{p.name: other_value(p)})
        result, said = outcome(changed)
        assert said != told or not torch.equal(result, plain), f"{p.name} changes nothing"


def shown(stack: tuple[Defense, ...], data: ImageSet, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """The first batch that reaches the network in epoch 1, and the preview of its images under the same stream of
    draws."""
    plan = PLANS.build("adamw", epochs=1, batch_size=16, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    seen: list[torch.Tensor] = []
    network.body.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].clone()) if network.training else None
    )
    pure = purify_all(stack, data, ctx)
    job = Job(pure, data, network, plan, blend=lambda *batch: blend_all(stack, *batch[:2], data.classes, *batch[2:]))
    train(replace(job, marks=marks_of(stack, pure)), ctx)
    order = torch.randperm(len(data), generator=ctx.generator("order", 0))
    assert len(seen) == 3
    expected = preview(stack, data.take(order[:16]), ctx, stream=("train", 0), whole=data)
    return to_bytes(seen[0] * 0.25 + 0.5), expected.images


@every_defense
def test_preview_shows_what_training_sees(name: str) -> None:
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set(count=40)
    seen, expected = shown((defense,), data, Context(seed=8))
    assert torch.equal(seen, expected)


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
    seen, expected = shown((first, second), data, ctx)
    assert torch.equal(seen, expected)
    if second.chosen(data) is None:
        # Written out: the first one first.
        pure, draws = second.purify(first.purify(data, ctx), ctx), ctx.generator("train", 0)
        rows = torch.randperm(len(data), generator=ctx.generator("order", 0))[:16]
        once = first.blend(to_float(pure.images[rows]), pure.labels[rows], 4, draws)
        assert torch.equal(to_bytes(second.blend(*once, 4, draws)[0]), expected)
    assert not torch.equal(shown((first,), data, ctx)[0], expected)
    assert not torch.equal(shown((second,), data, ctx)[0], expected)
    if "augment" in first.acts:
        assert not torch.equal(shown((second, first), data, ctx)[0], expected), "the order of the stack does not matter"


@every_defense
def test_images_are_chosen_one_by_one(name: str) -> None:
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set(count=30)
    marks = defense.chosen(data)
    if marks is None:
        pytest.skip("treats all images")
    assert (marks.dtype, marks.shape, marks.device.type) == (torch.bool, (30,), "cpu")
    rows = torch.tensor([29, 3, 4])
    assert torch.equal(defense.chosen(data.take(rows)), marks[rows])
    kept = defense.blend(to_float(data.images), data.labels, data.classes, rng())[1]
    assert kept is data.labels, "a defence that chooses must leave labels alone"


@every_defense
def test_draws_are_fresh_in_every_epoch(name: str) -> None:
    defense, data, ctx = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set(count=16), Context(seed=8)
    if "augment" not in defense.acts:
        pytest.skip("acts once, before training")
    plan = PLANS.build("adamw", epochs=3, batch_size=16, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    given: list[torch.Tensor] = []
    shown: list[torch.Tensor] = []
    seeds: list[int] = []

    def blend(images: torch.Tensor, targets: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        seeds.append(draws.initial_seed())
        given.append(images.clone())
        made, targets = defense.blend(images, targets, data.classes, draws)
        shown.append(made)
        return made, targets

    train(Job(data, data, network, plan, blend=blend), ctx)
    # Bring the three epochs into one order of images, then compare the draws.
    back = [shown[e][torch.argsort(torch.randperm(16, generator=ctx.generator("order", e)))] for e in range(3)]
    plain = [given[e][torch.argsort(torch.randperm(16, generator=ctx.generator("order", e)))] for e in range(3)]
    assert torch.equal(plain[0], plain[1])
    # The order of the images changes too, so equal streams would still show other pictures.
    assert len(set(seeds)) == 3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(back[a], back[b])


@every_defense
def test_preview_is_cancelled_and_reports(name: str) -> None:
    defense, data = DEFENSES.build(name, **DEFENSES[name].quick_values()), image_set(count=50)
    with pytest.raises(Cancelled):
        preview((defense,), data, Context(stop=lambda: True))
    seen: list[float] = []
    preview((defense,), data, Context(on_report=lambda done, total, text: seen.append(done / total)), chunk=20)
    assert seen[-1] == 1
    assert len(seen) >= 3


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
