"""D-VAE as a defence: what is done in which order, by hand; artefacts that are made once, resumed and ended early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from tests.small_disk import full_disk
from ued_core.attacks import RegionNoise
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.defenses import dvae as module
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.orthogonal_projection import OrthogonalProjection
from ued_core.defenses.purified import (
    Workshop,
    ask_enough,
    early_of,
    kept_sets,
    progress_of,
    purified_card,
    purify_once,
    read_purified,
    work_of,
)
from ued_core.errors import Cancelled, DataError, Unavailable
from ued_core.records import ImageSet, to_float
from ued_core.training.rate_constrained import separated

QUICK = {"epochs": 2, "width": 4, "batch_size": 12}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path


def image_set(count: int = 24, classes: int = 4, shape: tuple[int, int, int] = (3, 8, 8), seed: int = 0) -> ImageSet:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def quick(**more: Any) -> Dvae:
    return Dvae(**{**QUICK, **more})


def stored(values: torch.Tensor, rounding: str = "truncate") -> torch.Tensor:
    """Clip and store, written once more."""
    levels = values.clamp(0, 1) * 255
    return (levels.floor() if rounding == "truncate" else levels.round()).to(torch.uint8)


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
def test_two_stages_by_hand(rounding: str) -> None:
    """Stage 1 subtracts; stage 2 subtracts from what stage 1 stored, then takes x̂ of what that gives."""
    data, defense = image_set(), quick(latent="mean", rounding=rounding)
    made = purify_once(defense, data, Context())
    first, second = (defense.trained(data, made, stage) for stage in (1, 2))
    one = stored(to_float(data.images) - separated(first, data.images, data.labels, Context())[1], rounding)
    assert torch.equal(made.stages[0], one)
    with torch.no_grad():
        between = (to_float(one) - second(to_float(one), data.labels).perturbation).clamp(0, 1)
        two = stored(second(between, data.labels).image, rounding)
    assert torch.equal(made.stages[1], two)
    assert made.images.data_ptr() == made.stages[1].data_ptr()
    assert torch.equal(defense.purify(data, Context()).images, two)


def test_what_each_stage_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets, labels and images of both trainings; the second network begins afresh."""
    jobs: list[Any] = []
    began: list[dict[str, torch.Tensor]] = []
    real = module.train_dvae

    def watched(job: Any, ctx: Context) -> list[dict[str, float]]:
        jobs.append(job)
        began.append({k: v.clone() for k, v in job.network.state_dict().items()})
        return real(job, ctx)

    monkeypatch.setattr(module, "train_dvae", watched)
    data = image_set()
    made = quick(rate_1=0.7, rate_2=2.5, labels="shuffled").separate(data, Context(), Workshop())
    assert [job.target for job in jobs] == [0.7, 2.5]
    assert [(job.epochs, job.batch_size) for job in jobs] == [(2, 12)] * 2
    assert torch.equal(jobs[0].data.images, data.images)
    assert torch.equal(jobs[1].data.images, made.stages[0])
    assert jobs[1].network is not jobs[0].network
    for name in ("encoder.0.weight", "embedding.weight", "to_image.0.weight"):
        assert not torch.equal(began[1][name], began[0][name])
        assert not torch.equal(began[1][name], made.weights[0][name])
    # The control: as many of each class, other images, the same for both stages.
    assert torch.equal(jobs[0].data.labels, jobs[1].data.labels)
    assert not torch.equal(jobs[0].data.labels, data.labels)
    assert torch.equal(jobs[0].data.labels.sort().values, data.labels.sort().values)


def test_variants() -> None:
    data = image_set()
    made = {v: quick(variant=v, latent="mean").separate(data, Context(), Workshop()) for v in
            ("two_stages", "subtraction", "reconstruction", "plain_vae")}  # fmt: skip
    assert [len(m.stages) for m in made.values()] == [2, 1, 1, 1]
    assert torch.equal(made["subtraction"].images, made["two_stages"].stages[0])
    network = quick().trained(data, made["reconstruction"], 1)
    assert torch.equal(
        made["reconstruction"].images, stored(separated(network, data.images, data.labels, Context())[0])
    )
    assert "embedding.weight" in made["reconstruction"].weights[0]
    assert "embedding.weight" not in made["plain_vae"].weights[0]
    assert [log["target"] for log in made["plain_vae"].log["stages"]] == [1.0]
    plain = quick(variant="plain_vae").trained(data, made["plain_vae"], 1)
    assert torch.equal(made["plain_vae"].images, stored(separated(plain, data.images, data.labels, Context())[0]))


def test_stage_1_is_taken_from_the_subtraction_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data, trained = image_set(), []
    expected = quick(rate_2=2.0).separate(data, Context(), Workshop())
    quick(variant="subtraction").purify(data, Context())
    real = module.train_dvae
    monkeypatch.setattr(module, "train_dvae", lambda job, ctx: trained.append(job.target) or real(job, ctx))
    made = quick(rate_2=2.0).separate(data, Context(), Workshop())
    assert trained == [2.0]
    assert torch.equal(made.stages[0], expected.stages[0])
    assert torch.equal(made.images, expected.images)
    assert [log["stage"] for log in made.log["stages"]] == [1, 2]


def test_the_subtraction_alone_is_taken_from_both_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_set()
    expected = quick(variant="subtraction").separate(data, Context(), Workshop())
    quick(rate_2=2.0).purify(data, Context())
    monkeypatch.setattr(module, "train_dvae", lambda job, ctx: pytest.fail("stage 1 was trained again"))
    for unused in (3.0, 1.0):
        alone = quick(variant="subtraction", rate_2=unused)
        assert torch.equal(alone.purify(data, Context()).images, expected.images)
        assert torch.equal(alone.kept(data).weights[0]["embedding.weight"], expected.weights[0]["embedding.weight"])
    for other in (
        quick(variant="subtraction", rate_1=0.5),
        quick(variant="plain_vae"),
        quick(variant="subtraction", seed=1),
        quick(variant="subtraction", labels="shuffled"),
    ):
        assert other.known_first(data) is None
    assert quick(variant="subtraction").known_first(image_set(seed=1)) is None


@pytest.mark.parametrize("first", ["subtraction", "two_stages", "reconstruction"])
def test_the_variants_share_the_training_of_stage_1(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, trained = image_set(), []
    others = {"subtraction", "two_stages", "reconstruction"} - {first}
    expected = {variant: quick(variant=variant).separate(data, Context(), Workshop()) for variant in others}
    quick(variant=first).purify(data, Context())
    real = module.train_dvae
    monkeypatch.setattr(module, "train_dvae", lambda job, ctx: trained.append(job.target) or real(job, ctx))
    for variant in others:
        made = quick(variant=variant).separate(data, Context(), Workshop())
        assert torch.equal(made.images, expected[variant].images)
        assert [log["stage"] for log in made.log["stages"]] == list(range(1, len(made.stages) + 1))
        assert len(made.weights) == len(made.stages)
    assert trained == [3.0] * ("two_stages" in others), "stage 2 alone"


def test_the_network_of_stage_1_can_be_measured(tmp_path: Path) -> None:
    data = image_set()
    defense = quick(labels="shuffled")
    assert defense.separator(data) is None
    defense.purify(data, Context())
    network, told = defense.separator(data)
    weights = defense.kept(data).weights[0]
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert torch.equal(told, defense.told_labels(data.labels))
    assert not network.training
    assert quick(variant="plain_vae").separator(data, tmp_path) is None


def test_purified_set_and_log() -> None:
    data = image_set(count=26)
    pure = quick().purify(data, Context())
    assert (pure.images.dtype, pure.images.shape) == (torch.uint8, data.images.shape)
    assert pure.labels is data.labels
    card = purified_card(quick().folder(data.content_hash))
    assert (card["data_hash"], card["defence"]) == (data.content_hash, quick().to_json())
    assert [(log["stage"], log["target"], log["epochs"]) for log in card["log"]["stages"]] == [(1, 1.0, 2), (2, 3.0, 2)]
    for log in card["log"]["stages"]:
        assert [row["epoch"] for row in log["trace"]] == [1, 2]
        assert log["rate"] == log["trace"][-1]["rate"]
        assert log["bits_per_pixel"] == pytest.approx(log["rate"] * 0.36067, rel=1e-4)
    assert card["log"]["note"].startswith("Stage 1 kept ")
    assert "stopped_early" not in card["log"]


@pytest.mark.parametrize("shape", [(1, 8, 12), (3, 10, 8)], ids=["grey, not square", "not square"])
def test_other_shapes(shape: tuple[int, int, int]) -> None:
    data = image_set(shape=shape)
    assert quick().purify(data, Context()).images.shape == data.images.shape


def test_odd_sides_are_refused() -> None:
    with pytest.raises(DataError, match="multiples of 2"):
        quick().purify(image_set(shape=(3, 9, 8)), Context())


def test_one_image_of_one_class() -> None:
    assert len(quick().purify(image_set(1, 1), Context())) == 1


def test_result_depends_on_its_own_seed_alone(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, results = image_set(), []
    for home, seed, run in (("a", 0, 3), ("b", 0, 4), ("c", 1, 3)):
        monkeypatch.setenv("UED_HOME", str(own_home / home))
        torch.manual_seed(run)
        results.append(quick(seed=seed).purify(data, Context(seed=run)).images)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_draws_of_the_latent() -> None:
    """Each image's latent is drawn, and the draws belong to the seed, not to the block an image stands in."""
    data = image_set()
    sampled, mean = (
        quick(variant="reconstruction", latent=latent).separate(data, Context(), Workshop())
        for latent in ("sample", "mean")
    )
    assert all(torch.equal(sampled.weights[0][k], mean.weights[0][k]) for k in mean.weights[0])
    assert not torch.equal(sampled.images, mean.images)


# ---------------------------------------------------------------- artefacts


def test_the_same_set_is_purified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_set()
    first = quick().purify(data, Context()).images
    monkeypatch.setattr(Dvae, "separate", lambda *_: pytest.fail("it was there"))
    told: list[str] = []
    again = quick().purify(data, Context(seed=9, on_report=lambda done, total, text: told.append(text)))
    assert torch.equal(again.images, first)
    assert told == ["D-VAE: purified before, read from the disk"]
    assert not work_of(quick().folder(data.content_hash)).exists()
    with np.load(quick().folder(data.content_hash) / "pictures.npz") as pictures:
        assert set(pictures) == {"rows", "given", "image", "perturbation"}


def test_rows_of_a_purified_set() -> None:
    data, defense = image_set(), quick()
    rows = torch.tensor([7, 3, 20])
    with pytest.raises(Unavailable, match="has not been purified"):
        defense.purify_rows(data.take(rows), data, Context())
    whole = defense.purify(data, Context())
    assert torch.equal(defense.purify_rows(data.take(rows), data, Context()).images, whole.images[rows])
    with pytest.raises(Unavailable):
        defense.purify_rows(image_set(seed=1).take(rows), data, Context())
    with pytest.raises(Unavailable):
        quick(rate_1=2.0).purify_rows(data.take(rows), data, Context())


@pytest.mark.parametrize(
    ("reports", "words"),
    [(2, "stage 1 of 2, after 1 of 2 epochs"), (6, "stage 2 of 2, after 1 of 2 epochs")],
    ids=["within stage 1", "within stage 2"],
)
def test_rows_of_unfinished_work(monkeypatch: pytest.MonkeyPatch, reports: int, words: str) -> None:
    """They pass through the network as it was saved last; the images of finished stages are what it is given."""
    data, defense = image_set(), quick(latent="mean", labels="shuffled")
    rows, seen = torch.tensor([7, 3, 20]), []
    save = Workshop.save
    monkeypatch.setattr(Workshop, "save", lambda self, state, now=False: save(self, state, True))
    assert defense.checkpoint(data) is None
    with pytest.raises(Cancelled):
        defense.purify(data, Context(on_report=lambda *said: seen.append(said), stop=lambda: len(seen) > reports))
    assert defense.checkpoint(data) == words
    assert defense.seconds_before(data) == 0
    now = defense.purify_rows(data.take(rows), data, Context()).images
    state = Workshop(work_of(defense.folder(data.content_hash))).load()
    network = defense.network(data.shape, data.classes, torch.Generator())
    network.load_state_dict(state["training"]["network"])
    images, told = (
        to_float((state["images"][-1] if state["images"] else data.images)[rows]),
        defense.told_labels(data.labels)[rows],
    )
    with torch.no_grad():
        left = (images - network.eval()(images, told).perturbation).clamp(0, 1)
        expected = network(left, told).image if state["images"] else left
    assert torch.equal(now, stored(expected))
    with pytest.raises(Unavailable, match="has not been purified"):
        defense.purify_rows(image_set(seed=1).take(rows), data, Context())
    defense.purify(data, Context())
    assert defense.checkpoint(data) == "purified"
    assert torch.equal(defense.purify_rows(data.take(rows), data, Context()).images, defense.kept(data).images[rows])


def test_all_versions_of_a_set() -> None:
    data = image_set()
    assert kept_sets("dvae", data.content_hash) == []
    made = [quick(variant="subtraction", rate_1=rate) for rate in (0.5, 2.0)]
    for defense in made:
        defense.purify(data, Context())
    quick(variant="subtraction").purify(image_set(seed=1), Context())
    found = kept_sets("dvae", data.content_hash)
    assert sorted(recipe["rate_1"] for recipe, _ in found) == [0.5, 2.0]
    assert {folder for _, folder in found} == {defense.folder(data.content_hash) for defense in made}


def test_a_set_that_goes_while_sets_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run makes room: what was found a moment ago is not there any more."""
    data, defense = image_set(), quick(variant="subtraction")
    defense.purify(data, Context())
    found = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: [*found(self, pattern), self / "gone" / data.content_hash / "card.json"]
    )
    assert kept_sets("dvae", data.content_hash) == [(defense.to_json(), defense.folder(data.content_hash))]


def test_damaged_artefacts_are_made_anew() -> None:
    data, defense = image_set(), quick()
    first = defense.purify(data, Context()).images.clone()
    folder = defense.folder(data.content_hash)
    content = bytearray((folder / "stage2.npy").read_bytes())
    content[-1] ^= 1
    (folder / "stage2.npy").write_bytes(content)
    (folder / "card.json").touch()
    assert read_purified(folder) is None
    assert torch.equal(defense.purify(data, Context()).images, first)
    (folder / "stage1.safetensors").write_bytes(b"")
    (folder / "card.json").touch()
    assert read_purified(folder) is None
    assert torch.equal(defense.purify(data, Context()).images, first)
    assert read_purified(folder) is not None


def test_sets_of_older_versions_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their cards list the checksums by stage."""
    data, defense = image_set(), quick()
    first = defense.purify(data, Context()).images.clone()
    path = defense.folder(data.content_hash) / "card.json"
    card = json.loads(path.read_text())
    sums = card.pop("sha256")
    card["stages"] = [{"images": sums[f"stage{n}.npy"], "network": sums[f"stage{n}.safetensors"]} for n in (1, 2)]
    path.write_text(json.dumps(card))
    monkeypatch.setattr(Dvae, "separate", lambda *_: pytest.fail("it was purified before"))
    assert torch.equal(defense.purify(data, Context()).images, first)
    kept = defense.kept(data)
    assert kept is not None
    assert (len(kept.stages), len(kept.weights)) == (2, 2)


def test_no_place_to_write(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = image_set()
    expected = quick().purify(data, Context()).images.clone()
    (own_home / "file").touch()
    monkeypatch.setenv("UED_HOME", str(own_home / "file"))
    assert torch.equal(quick().purify(data, Context()).images, expected)


def test_full_disk(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state nor the set can be kept: torch, numpy and safetensors each say so in their own way."""
    data = image_set()
    expected = quick().purify(data, Context()).images.clone()
    monkeypatch.setenv("UED_HOME", str(own_home / "full"))
    folder = quick().folder(data.content_hash)
    with full_disk(room=10_000):
        state = Workshop(work_of(folder), every_s=0)
        state.save(lambda: {"values": torch.zeros(10_000)})
        assert state.load() is None
        assert torch.equal(quick().purify(data, Context()).images, expected)
    assert read_purified(folder) is None
    assert list(folder.parent.glob(f".{folder.name}*")) == []


def test_nothing_is_taken_from_an_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """What both stages made before the code was changed says nothing about stage 1 of today."""
    data = image_set()
    quick().purify(data, Context())
    assert quick(variant="subtraction").known_first(data) is not None
    monkeypatch.setattr("ued_core.defenses.purified.PURIFY_VERSION", 10**6)
    assert quick().known_first(data) is None
    assert quick(variant="subtraction").known_first(data) is None


def test_a_look_at_unfinished_work_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defence further on learns from the whole set, as far as it is purified by now."""
    data, rows, seen = image_set(), torch.tensor([7, 3, 20]), []
    stack = DefenseStack([quick(latent="mean"), OrthogonalProjection(steps=3, rounds=1)])
    save = Workshop.save
    monkeypatch.setattr(Workshop, "save", lambda self, state, now=False: save(self, state, True))
    with pytest.raises(Cancelled):
        stack[0].purify(data, Context(on_report=lambda *said: seen.append(said), stop=lambda: len(seen) > 2))
    words = stack[0].checkpoint(data)
    now = stack[0].purify_rows(data, data, Context())
    expected = stack[1].purify_rows(now.take(rows), now, Context()).images
    assert torch.equal(stack.preview(data.take(rows), Context(), whole=data).images, expected)
    assert stack[0].checkpoint(data) == words != "purified"


@pytest.mark.parametrize("reports", [2, 6], ids=["within stage 1", "within stage 2"])
def test_cancelled_work_goes_on_where_it_was(tmp_path: Path, reports: int) -> None:
    data, defense = image_set(), quick()
    whole = defense.separate(data, Context(), Workshop())
    seen: list[float] = []

    def ctx(limit: float) -> Context:
        return Context(on_report=lambda done, total, text: seen.append(done / total), stop=lambda: len(seen) > limit)

    with pytest.raises(Cancelled):
        defense.separate(data, ctx(reports), Workshop(tmp_path / "w", every_s=0))
    begun = len(seen)
    again = defense.separate(data, ctx(1e9), Workshop(tmp_path / "w", every_s=0))
    assert torch.equal(again.images, whole.images)
    assert all(torch.equal(again.weights[1][k], whole.weights[1][k]) for k in whole.weights[1])
    untimed = [[{k: v for k, v in row.items() if k != "seconds"} for log in made.log["stages"] for row in log["trace"]]
               for made in (whole, again)]  # fmt: skip
    assert untimed[0] == untimed[1]
    # Two stages of two epochs of two batches, and the end.
    assert len(seen) - begun < 9
    assert seen[begun:] == sorted(seen[begun:])
    assert seen[-1] == 1


def test_progress_rises_over_both_stages() -> None:
    seen: list[tuple[float, str]] = []
    quick().purify(image_set(), Context(on_report=lambda done, total, text: seen.append((done / total, text))))
    shares = [share for share, _ in seen]
    assert shares == pytest.approx([0, 1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1])
    assert seen[4][1] == "D-VAE, stage 2 of 2, epoch 1 of 2"


def test_pictures_of_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the network as it is then, of one image per class, and the log has all epochs so far."""
    data, defense = image_set(), quick(epochs=3)
    folder = defense.folder(data.content_hash)
    seen: list[tuple[dict[str, Any], dict[str, Any]]] = []
    real = Workshop.show

    def show(self: Workshop, *args: Any) -> None:
        real(self, *args)
        seen.append(progress_of(folder))

    monkeypatch.setattr(Workshop, "show", show)
    made = purify_once(defense, data, Context())
    assert [[len(stage["trace"]) for stage in log["stages"]] for log, _ in seen] == [
        [1],
        [2],
        [3],
        [3, 1],
        [3, 2],
        [3, 3],
    ]
    assert progress_of(folder) is None
    last = seen[2][1]
    assert last["rows"].tolist() == [0, 1, 2, 3]
    network = defense.trained(data, made, 1)
    image, perturbation = separated(network, data.images[:4], data.labels[:4], Context())
    assert torch.equal(torch.from_numpy(last["given"]), data.images[:4])
    assert torch.equal(torch.from_numpy(last["image"]), stored(image, "nearest"))
    assert torch.allclose(torch.from_numpy(last["perturbation"]), perturbation, atol=1e-6)
    assert torch.equal(torch.from_numpy(seen[-1][1]["given"]), made.stages[0][:4])


def end_in(stage: int, defense: Dvae, data: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for an end in the first epoch of a stage."""
    real = Workshop.show

    def show(self: Workshop, log: Any, pictures: Any) -> None:
        real(self, log, pictures)
        if len(log["stages"]) == stage and len(log["stages"][-1]["trace"]) == 1:
            ask_enough(defense.folder(data.content_hash))

    monkeypatch.setattr(Workshop, "show", show)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_can_be_ended_early(stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set belongs to whoever ended it; everybody else gets a whole one."""
    data, defense = image_set(), quick(epochs=3)
    end_in(stage, defense, data, monkeypatch)
    folder = defense.folder(data.content_hash)
    made = purify_once(defense, data, Context(), tmp_path / "mine")
    assert [log["epochs"] for log in made.log["stages"]] == ([1, 3] if stage == 1 else [3, 1])
    assert made.log["stopped_early"] == f"stage {stage} after 1 of 3 epochs"
    assert not folder.exists()
    assert not work_of(folder).exists()
    assert torch.equal(read_purified(early_of(folder)).images, made.images)
    assert defense.kept(data) is None
    assert torch.equal(defense.kept(data, early=True).images, made.images)
    assert kept_sets("dvae", data.content_hash) == []
    assert kept_sets("dvae", data.content_hash, early=True) == [(defense.to_json(), early_of(folder))]
    again = purify_once(defense, data, Context(), tmp_path / "mine")
    assert torch.equal(again.images, made.images)
    monkeypatch.undo()
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    whole = purify_once(defense, data, Context(), tmp_path / "theirs")
    assert [log["epochs"] for log in whole.log["stages"]] == [3, 3]
    assert not torch.equal(whole.images, made.images)
    assert torch.equal(purify_once(defense, data, Context(), tmp_path / "mine").images, made.images)


def test_a_wish_that_came_too_late_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for in the last epoch of stage 1: stage 2 runs to its end."""
    data, defense = image_set(), quick()
    real = Workshop.show

    def show(self: Workshop, log: Any, pictures: Any) -> None:
        real(self, log, pictures)
        if [len(stage["trace"]) for stage in log["stages"]] == [2]:
            ask_enough(defense.folder(data.content_hash))

    monkeypatch.setattr(Workshop, "show", show)
    made = purify_once(defense, data, Context())
    assert [log["epochs"] for log in made.log["stages"]] == [2, 2]
    assert "stopped_early" not in made.log


def test_nothing_to_end() -> None:
    with pytest.raises(Unavailable, match="Nothing is being purified"):
        ask_enough(quick().folder("0" * 12))


def test_a_second_process_waits_and_can_be_cancelled() -> None:
    data, defense = image_set(), quick()
    folder = defense.folder(data.content_hash)
    folder.parent.mkdir(parents=True)
    told: list[str] = []
    with FileLock(folder.with_suffix(".lock")), pytest.raises(Cancelled):
        defense.purify(data, Context(on_report=lambda done, total, text: told.append(text), stop=lambda: len(told) > 0))
    assert told == ["D-VAE: another run purifies this set; waiting for it"]
    assert len(defense.purify(data, Context())) == len(data)


def test_poison_of_a_part_of_the_images() -> None:
    """Which images are poisoned is not told: all are learned from, and all pass through what was learned."""
    data, defense = image_set(), quick(latent="mean", variant="subtraction")
    attack, made = RegionNoise(), {}
    for rate in (0.0, 0.5, 1.0):
        poisoned = attack.poison(data, Context(seed=2), poison_rate=rate)
        made[rate] = (poisoned, purify_once(defense, poisoned.as_training_set(), Context()).images)
    half, pure = made[0.5]
    assert 0 < int(half.touched.sum()) < len(data)
    # Clean rows are purified like the others: what the class foretells is taken off every image.
    network = defense.trained(half.as_training_set(), purify_once(defense, half.as_training_set(), Context()), 1)
    assert torch.equal(pure, stored(to_float(half.images) - separated(network, half.images, data.labels, Context())[1]))
    for rows in (half.touched, ~half.touched):
        assert (pure[rows] != half.images[rows]).flatten(1).any(1).all()
    # Rows that are the same in two sets come out otherwise, for the network learned from other images beside them.
    for rate, same in ((0.0, ~half.touched), (1.0, half.touched)):
        other, others = made[rate]
        assert torch.equal(other.images[same], half.images[same])
        assert (others[same] != pure[same]).flatten(1).any(1).all()


def test_estimate_of_the_time() -> None:
    data = image_set(count=60)
    one, more = (quick(epochs=n, variant="subtraction").seconds_for(data) for n in (1, 100))
    assert 0 < one < more
    defense = quick(epochs=1, variant="subtraction")
    assert defense.seconds_before(data) > 0
    defense.purify(data, Context())
    assert defense.seconds_before(data) == 0


def test_the_estimate_is_of_processor_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 images in batches of 12 are 5 steps an epoch: 2 stages × 3 epochs × 5 steps × the least second but the first
    one's."""
    clock = iter([0.0, 9.0, 10.0, 14.0, 20.0, 22.0, 30.0, 35.0])
    monkeypatch.setattr(module, "process_time", lambda: next(clock))
    assert quick(epochs=3).seconds_for(image_set(count=60)) == 2 * 3 * 5 * 2.0
    assert next(clock, None) is None


def test_bfloat16_is_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a name of its own, takes no stage of float32, and says so where the device has no such arithmetic."""
    assert "precision" not in quick().to_json(), "sets that were purified before keep their names"
    data, notes = image_set(), []
    exact = quick(variant="subtraction").purify(data, Context())
    half = quick(variant="subtraction", precision="bfloat16")
    assert half.folder(data.content_hash) != quick(variant="subtraction").folder(data.content_hash)
    assert half.with_values(variant="two_stages").known_first(data) is None
    for able in (True, False):
        monkeypatch.setattr(module, "fast_bfloat16", lambda device, able=able: able)
        made = half.separate(data, Context(on_note=notes.append), Workshop())
        assert not torch.equal(made.images, exact.images)
        assert len(notes) == (not able)
        quick(variant="subtraction").separate(data, Context(on_note=notes.append), Workshop())
    assert notes == [
        "D-VAE: this device has no bfloat16 in hardware. The result is right, but float32 would be quicker here."
    ]
    network = half.trained(data, made, 1)
    assert {value.dtype for value in network.parameters()} == {torch.float32}


def test_a_draft() -> None:
    assert Dvae().draft() == Dvae(epochs=12)
    assert Dvae(epochs=12).draft() is None
    assert [Dvae(epochs=n).is_draft for n in (1, 12, 13)] == [True, True, False]
    (epochs,) = (parameter for parameter in Dvae.parameters() if parameter.name == "epochs")
    assert "12 give a draft" in epochs.help
