"""Unlearnable Clusters: granularity, bound, no labels, the shifted centres, and the encoders it may take."""

from __future__ import annotations

import hashlib
import math
import time

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import ATTACKS, UnlearnableClusters, encoders, feature_clusters
from ued_core.attacks import unlearnable_clusters as module
from ued_core.attacks.checkpoint import poison_once
from ued_core.attacks.encoders import LITE0_SIDE, Encoder, embedded_card, encoder_for, features_of
from ued_core.attacks.feature_clusters import agreement_with, find_clusters
from ued_core.context import Context
from ued_core.data import Shapes
from ued_core.errors import Cancelled, DataError, ParameterError, Unavailable
from ued_core.models import Lite0, pretrained
from ued_core.models.clip_tower import ClipTower
from ued_core.models.generator import build_generator, fitting_side
from ued_core.models.pretrained import weights_folder
from ued_core.records import ImageSet, to_float

SMALL = UnlearnableClusters(clusters=4, steps=3, generator_width=4, generator_blocks=1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_encoder() -> Encoder:
    body = nn.Sequential(
        nn.Conv2d(3, 12, 5, 2, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, bias=False), nn.ReLU()
    )
    drawn = rng(5)
    for layer in body:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=drawn)
    return Encoder(
        nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 16, (0.5,) * 3, (0.25,) * 3, "A tiny encoder.", True
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder of some hundred weights in place of the shipped ones."""
    monkeypatch.setattr(module, "encoder_for", lambda name, data_name: tiny_encoder())


def middle_set(count: int = 80) -> ImageSet:
    """Images that no noise of 16 levels can bring to a border."""
    data = toy_set(count)
    return data.with_images((data.images // 2 + 60).to(torch.uint8))


# ---------------------------------------------------------------- the poison


@pytest.mark.usefixtures("tiny")
def test_one_noise_for_every_cluster():
    data = middle_set()
    made, found = SMALL.poison(data, Context(seed=3)), SMALL.groups(data, Context(seed=3))
    assert len(found) == 4
    maps = {}
    for delta, cluster in zip(made.delta, found.assignment.tolist(), strict=True):
        assert torch.equal(maps.setdefault(cluster, delta), delta), "two images of a cluster got different noise"
    assert len({m.numpy().tobytes() for m in maps.values()}) == 4


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("bounding", ["clip", "scale"])
def test_bound_after_storage(bounding):
    data = toy_set(40)
    data.images[:10], data.images[10:20] = 0, 255
    for epsilon in (16, 3):
        delta = SMALL.with_values(epsilon=epsilon, bounding=bounding).poison(data, Context()).delta
        assert int(delta.abs().max()) <= epsilon
        assert delta.min() < 0 < delta.max()
    largest = int(SMALL.with_values(bounding=bounding).poison(data, Context()).delta.abs().max())
    assert largest == 16 if bounding == "clip" else 12 <= largest <= 16


@pytest.mark.usefixtures("tiny")
def test_stored_images_are_clean_plus_noise_clipped_and_rounded(monkeypatch):
    kept = {}
    inner = UnlearnableClusters._one_cluster

    def spy(self, number, *args):
        kept[number] = inner(self, number, *args)
        return kept[number]

    monkeypatch.setattr(UnlearnableClusters, "_one_cluster", spy)
    data = toy_set(40)
    data.images[:10], data.images[10:20] = 0, 255
    made, found = SMALL.craft(data, Context(), Draft()).images, SMALL.groups(data, Context())
    for row, cluster in enumerate(found.assignment.tolist()):
        exact = np.clip(
            data.images[row].numpy().astype(np.float64) + 255 * kept[cluster][0].numpy().astype(np.float64), 0, 255
        )
        assert np.abs(made[row].numpy() - exact).max() <= 0.5 + 1e-4


@pytest.mark.usefixtures("tiny")
def test_labels_do_not_matter():
    data = toy_set(60)
    plain = SMALL.craft(data, Context(seed=1), Draft())
    mixed = ImageSet(data.images, data.labels[torch.randperm(60, generator=rng())], data.class_names, data.name)
    merged = ImageSet(data.images, torch.zeros_like(data.labels), ("all",), data.name)
    for other in (mixed, merged):
        made = SMALL.craft(other, Context(seed=1), Draft())
        assert torch.equal(made.images, plain.images)
        assert made.log == plain.log


@pytest.mark.usefixtures("tiny")
def test_same_seed_same_bytes():
    data = toy_set(40)
    first = SMALL.poison(data, Context(seed=1)).images
    assert torch.equal(SMALL.poison(data, Context(seed=1)).images, first)
    assert not torch.equal(SMALL.poison(data, Context(seed=2)).images, first)


@pytest.mark.parametrize(("clusters", "offset"), [(10, 10), (10, 20), (2, 4), (7, 7)])
def test_an_offset_of_a_whole_turn_is_refused(clusters, offset):
    with pytest.raises(ParameterError, match=f"offset is {offset} and clusters is {clusters}"):
        UnlearnableClusters(clusters=clusters, offset=offset)
    with pytest.raises(ParameterError):
        UnlearnableClusters(offset=0)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("offset", [1, 3, 6])
def test_anchors_are_shifted(offset):
    trace = SMALL.with_values(offset=offset).craft(toy_set(60), Context(), Draft()).log["trace"]
    assert [row["anchor"] for row in trace] == [(i + offset) % 4 for i in range(4)]
    assert sum(row["images"] for row in trace) == 60


@pytest.mark.usefixtures("tiny")
def test_curve_of_a_cluster(monkeypatch):
    """It begins and ends where the row says, and measures what the finished noise does to the probed images."""
    monkeypatch.setattr(module, "CURVE_POINTS", 5)
    data, attack = toy_set(60), SMALL.with_values(steps=8)
    images, log = (made := attack.craft(data, Context(), Draft())).images, made.log
    found, encoder = attack.groups(data, Context()), tiny_encoder()
    for row in log["trace"]:
        curve = row["curve"]
        assert curve["step"] == [0, 2, 4, 6, 8]
        assert (curve["anchor_kl"][0], curve["anchor_kl"][-1]) == (row["first_kl"], row["last_kl"])
        own = found.assignment == row["cluster"]
        for name, centre in (("anchor_kl", row["anchor"]), ("own_kl", row["cluster"])):
            wanted = torch.softmax(found.centres[centre], 0)
            features = torch.log_softmax(encoder(to_float(images[own])), 1)
            # The published images are rounded to whole levels; the probed ones are not.
            assert curve[name][-1] == pytest.approx(
                float((wanted * (wanted.log() - features)).sum(1).mean()), rel=0.05, abs=1e-5
            )
        assert row["clean_own_kl"] < row["clean_kl"]
    short = SMALL.with_values(steps=2).craft(data, Context(), Draft()).log["trace"]
    assert all(row["curve"]["step"] == [0, 1, 2] for row in short)


@pytest.mark.usefixtures("tiny")
def test_fewer_images_than_clusters():
    """Three distinct images make three clusters; an offset of three would be a whole turn then, so one step is
    taken."""
    data = toy_set(3).take([0, 1, 2, 2, 1])
    log = SMALL.with_values(clusters=10, offset=3).craft(data, Context(), Draft()).log
    assert sorted(row["images"] for row in log["trace"]) == [1, 2, 2]
    assert all(row["anchor"] != row["cluster"] for row in log["trace"])
    alone = SMALL.craft(toy_set(1), Context(), Draft())
    assert "one cluster" in alone.log["note"]
    assert not torch.equal(alone.images, toy_set(1).images)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("own", [False, True])
def test_which_images_a_cluster_learns_from(own, monkeypatch):
    pools = []
    inner = module.shuffled
    monkeypatch.setattr(module, "shuffled", lambda rows, drawn: pools.append(rows) or inner(rows, drawn))
    data, attack = toy_set(60), SMALL.with_values(own_cluster_only=own)
    attack.craft(data, Context(), Draft())
    found = attack.groups(data, Context())
    for number, pool in enumerate(pools):
        expected = (found.assignment == number).nonzero()[:, 0] if own else torch.arange(60)
        assert torch.equal(pool.sort().values, expected)


def test_batches_hold_every_row_once_before_any_comes_again(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)
    batches = module.shuffled(torch.arange(100, 112), rng())
    for _ in range(3):
        assert sorted(torch.cat([next(batches) for _ in range(3)]).tolist()) == list(range(100, 112))
    assert [len(next(module.shuffled(torch.arange(3), rng()))) for _ in range(2)] == [3, 3]


@pytest.mark.usefixtures("tiny")
def test_progress_counts_gradient_evaluations():
    seen = []
    data = toy_set(60)
    SMALL.craft(data, Context(on_report=lambda done, total, text: seen.append((done, total, text))), Draft())
    assert {total for _, total, _ in seen} == {SMALL.gradient_evaluations(60)} == {60 + 4 * (3 * 60 + 2 * 60)}
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert all("gradient evaluations" in text for _, _, text in seen)


@pytest.mark.usefixtures("tiny")
def test_goes_on_from_a_draft(tmp_path):
    data, asked = toy_set(60), []
    whole = SMALL.craft(data, Context(), Draft())

    class Stopped(Draft):
        def save(self, state):
            super().save(state)
            asked.append(1)

    draft = Stopped(tmp_path / "draft", every_s=0)
    draft._cost = 0
    with pytest.raises(Cancelled):
        SMALL.craft(data, Context(stop=lambda: len(asked) >= 2), draft)
    state = Draft(tmp_path / "draft").load()
    assert state is not None
    assert 1 <= len(state["table"]) == len(state["trace"]) <= 2
    seen = []
    again = SMALL.craft(data, Context(on_report=lambda done, total, text: seen.append(text)), Draft(tmp_path / "draft"))
    assert torch.equal(again.images, whole.images)
    assert again.log == whole.log
    assert not any("cluster 1 of" in text for text in seen)


def test_stops_within_two_seconds():
    """With the shipped encoder on 800 images, wherever the wish to stop comes."""
    data = Shapes(train_size=800, test_size=10).load(Context()).train
    for after in (1, 8, 20):
        told, wished = [], []

        def report(done, total, text, told=told, wished=wished, after=after):
            told.append(text)
            if len(told) == after:
                wished.append(time.perf_counter())

        with pytest.raises(Cancelled):
            UnlearnableClusters().craft(
                data, Context(on_report=report, stop=lambda wished=wished: bool(wished)), Draft()
            )
        assert time.perf_counter() - wished[0] < 2


@pytest.mark.usefixtures("tiny")
def test_preview_reads_what_was_crafted():
    data, attack = toy_set(40), SMALL
    with pytest.raises(Unavailable, match="whole training set"):
        attack.preview(data.take([4, 2]), 3)
    made = poison_once(attack, data, Context(seed=3))
    assert attack.is_crafted(data, 3)
    assert torch.equal(attack.preview(data.take([4, 2]), 3).images, made.images[[4, 2]])


@pytest.mark.usefixtures("tiny")
def test_estimate_of_the_time_grows_with_the_steps():
    data = toy_set(60)
    assert 0 < SMALL.seconds_for(data) < SMALL.with_values(steps=3000).seconds_for(data)


def test_a_proxy_is_called_one():
    assert ATTACKS["uc"] is UnlearnableClusters
    assert UnlearnableClusters().variant == "UC (proxy surrogate)"
    assert "proxy" in next(p.help for p in UnlearnableClusters.parameters() if p.name == "encoder")
    for name in ("embedded", "labelled"):
        log = SMALL.with_values(encoder=name).craft(toy_set(8), Context(), Draft()).log
        assert log["proxy"]
        assert log["note"].startswith("UC (proxy surrogate)" if name == "embedded" else "UC (labelled surrogate)")
        assert "bound" not in log["note"] or "not a bound" in log["note"]


@pytest.mark.slow
def test_distance_to_the_shifted_centre_falls():
    """At less than the default budget: at least 30 % off, averaged over the clusters."""
    data = Shapes(train_size=400, test_size=10).load(Context()).train
    made = UnlearnableClusters(clusters=5, steps=120, own_cluster_only=True).craft(data, Context(), Draft())
    assert made.log["converged"]
    assert made.log["ratio"] <= 0.7
    trace = made.log["trace"]
    assert np.mean([row["last_kl"] / row["clean_kl"] for row in trace]) <= 0.7
    # One step does not get there: it is the optimisation that counts.
    still = UnlearnableClusters(clusters=5, steps=1, own_cluster_only=True).craft(data, Context(), Draft())
    assert still.log["ratio"] > 0.95
    assert not still.log["converged"]


# ---------------------------------------------------------------- loss and generator


def test_distance_by_hand():
    """Target (ln 3, 0) is the profile (3/4, 1/4); features (0, 0) are (1/2, 1/2)."""
    target, features = torch.tensor([math.log(3), 0.0]), torch.tensor([[0.0, 0.0], [math.log(3) + 5, 5.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert module._divergence(features, target).tolist() == pytest.approx([expected, 0], abs=1e-6)


def test_distance_sees_the_clipped_noisy_image():
    encoder, images = tiny_encoder(), to_float(toy_set(6).images)
    noise, target = torch.rand(1, 3, 16, 16, generator=rng()) - 0.5, torch.rand(16, generator=rng())
    features = encoder((images + noise).clamp(0, 1)).double()
    wanted = torch.softmax(target.double(), 0)
    expected = (wanted * (wanted.log() - torch.log_softmax(features, 1))).sum(1)
    assert torch.allclose(module.profile_distance(encoder, images, noise, target).double(), expected, atol=1e-5)


def test_generator_is_the_published_one():
    network = build_generator(3, 64, 6, rng())
    # Convolutions by hand: 2 of 7×7 with the last one's bias, 2 down, 12 in blocks, 2 up; scale and shift of batch
    # normalisation.
    kernels = 49 * 3 * 64 * 2 + 3 + 9 * (64 * 128 + 128 * 256) * 2 + 12 * 9 * 256 * 256
    normal = 2 * (64 + 128 + 256 + 12 * 256 + 128 + 64)
    assert sum(p.numel() for p in network.parameters()) == kernels + normal
    assert 7.83e6 < kernels + normal < 7.85e6


@pytest.mark.parametrize(("shape", "side"), [((3, 12, 12), (12, 12)), ((1, 9, 17), (12, 20)), ((3, 6, 6), (8, 8))])
def test_noise_has_the_size_of_the_images(shape, side):
    assert tuple(map(fitting_side, shape[1:])) == side
    drawing = module.Drawing(SMALL, shape, 0, Context())
    assert drawing.start.shape == (1, shape[0], *side)
    assert 0 <= float(drawing.start.min()) < float(drawing.start.max()) <= 1
    assert drawing.noise().shape == (1, *shape)
    assert float(drawing.noise().detach().abs().max()) <= 16 / 255 + 1e-7


def test_generator_stays_in_training_mode_and_learns():
    drawing = module.Drawing(SMALL, (3, 12, 12), 0, Context())
    assert all(m.training for m in drawing.generator.modules())
    aim = torch.full((1, 3, 12, 12), 4 / 255)
    errors = []
    for step in range(60):
        noise = drawing.noise()
        errors.append(float((noise - aim).detach().square().mean()))
        drawing.step((noise - aim).detach(), step / 60)
    assert errors[-1] < 0.7 * errors[0]
    assert all(m.training for m in drawing.generator.modules())
    assert drawing.optimizer.param_groups[0]["lr"] < 0.1 * SMALL.learning_rate


# ---------------------------------------------------------------- clusters


def points(count: int = 200, groups: int = 5, seed: int = 0) -> torch.Tensor:
    drawn = rng(seed)
    return 8 * torch.randn(groups, 6, generator=drawn)[torch.arange(count) % groups] + torch.randn(
        count, 6, generator=drawn
    )


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_scikit_learn(seed):
    features = points(seed=seed)
    ours, theirs = (
        find_clusters(features, 5, Context(seed=seed)),
        KMeans(5, n_init=10, random_state=seed).fit(features.numpy()),
    )
    assert agreement_with(ours.assignment, torch.from_numpy(theirs.labels_.astype(np.int64))) == pytest.approx(1)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-4)
    for number in range(5):
        assert torch.allclose(ours.centres[number], features[ours.assignment == number].mean(0), atol=1e-4)


def test_interrupted_rounds_change_nothing(monkeypatch):
    features = torch.randn(300, 4, generator=rng())
    whole = find_clusters(features, 6, Context(), starts=1)
    monkeypatch.setattr(feature_clusters, "MOST_WORK", 2.5 * features.numel() * 6)
    asked = []
    parts = find_clusters(features, 6, Context(stop=lambda: asked.append(1) is not None), starts=1)
    assert len(asked) > 4
    assert parts.inertia == pytest.approx(whole.inertia, rel=1e-3)


def test_clusters_of_few_or_broken_features():
    same = torch.ones(5, 3)
    assert len(find_clusters(same, 4, Context())) == 1
    two = torch.cat([same, 2 * same])
    assert sorted(torch.bincount(find_clusters(two, 4, Context()).assignment).tolist()) == [5, 5]
    with pytest.raises(DataError, match="not finite"):
        find_clusters(same * math.nan, 2, Context())
    with pytest.raises(Cancelled):
        find_clusters(points(), 5, Context(stop=lambda: True))


def test_agreement_of_clusters_with_labels():
    labels = torch.arange(40) % 4
    assert agreement_with(3 - labels, labels) == pytest.approx(1)
    assert agreement_with(torch.arange(40) // 4 % 2 * 0, labels) == 0
    # Two clusters that are pairs of four equal classes: I = H(C) = ln 2, H(Y) = ln 4, so 2·ln 2 / (ln 2 + ln 4) = 2/3.
    assert agreement_with(labels // 2, labels) == pytest.approx(2 / 3)


# ---------------------------------------------------------------- encoders


def test_encoders_are_frozen_and_take_any_size_and_grey():
    for name in ("embedded", "labelled"):
        encoder = encoder_for(name, "shapes").train()
        assert not any(m.training for m in encoder.modules())
        assert not any(p.requires_grad for p in encoder.parameters())
        grey = torch.rand(4, 1, 40, 24, generator=rng())
        assert torch.allclose(encoder(grey), encoder(grey.expand(-1, 3, -1, -1)), atol=1e-6)
        assert encoder(grey[:, :, :6, :6]).shape == encoder(grey).shape
        noise = torch.zeros(1, 1, 40, 24, requires_grad=True)
        encoder(grey + noise).square().sum().backward()
        assert float(noise.grad.abs().sum()) > 0


def test_features_do_not_depend_on_the_batch():
    data, encoder = toy_set(150), tiny_encoder()
    assert torch.allclose(features_of(encoder, data, Context()), encoder(to_float(data.images)), atol=1e-5)


def test_embedded_encoder_ships_with_its_card():
    card, path = embedded_card(), encoders.ASSETS / "encoder" / "embedded.safetensors"
    assert path.stat().st_size <= 2_000_000
    assert card["test_accuracy"] > 20 * card["chance"]
    assert card["classes"] * card["chance"] == pytest.approx(1)
    assert set(card["nmi"]) == set(card["nmi_untrained"]) == {"shapes", "digits"}
    assert card["command"] == "python -m benchmarks.embedded_encoder"
    data = Shapes().load(Context()).train.take(torch.arange(1500))
    found = find_clusters(features_of(encoder_for("embedded", "shapes"), data, Context()), 10, Context())
    assert agreement_with(found.assignment, data.labels) == pytest.approx(card["nmi"]["shapes"], abs=0.1)


def test_labelled_encoder_of_another_set_is_that_of_shapes():
    assert "'digits'" in encoder_for("labelled", "digits").note
    assert "'shapes'" in encoder_for("labelled", "cifar10").note


def test_missing_card_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(encoders, "ASSETS", tmp_path)
    with pytest.raises(Unavailable, match=r"embedded\.json.*benchmarks\.embedded_encoder"):
        encoder_for("embedded", "shapes")


@pytest.mark.parametrize(
    ("name", "file", "variant"),
    [
        ("resnet50", r"resnet50-0676ba61\.pth", "UC"),
        ("convnext_tiny", r"convnext_tiny-983f1562\.pth", "UC (ConvNeXt surrogate)"),
        ("clip", r"RN50\.pt.*openaipublic.*RN50\.pt", "UC-CLIP"),
    ],
)
def test_encoders_name_the_file_that_is_missing(name, file, variant, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    attack = SMALL.with_values(encoder=name)
    with pytest.raises(Unavailable, match=file) as caught:
        attack.poison(toy_set(8), Context())
    assert str(weights_folder()) in str(caught.value)
    assert attack.variant == variant


def test_lite0_sees_what_the_model_sees(monkeypatch, tmp_path):
    """The surrogate's features are those of the catalogue's model, and are looked up the second time."""
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    data, encoder = toy_set(300), encoder_for("lite0", "toy")
    network = Lite0(side=LITE0_SIDE).build(data.shape, data.classes, rng())
    spent: list[int] = []
    found = features_of(encoder, data, Context(), spent.append)
    assert sum(spent) == 300
    assert len(spent) > 1
    assert found.shape == (300, 1280)
    with torch.no_grad():
        assert torch.allclose(found[:20], network.features(to_float(data.images[:20])), atol=1e-3)
    again: list[int] = []
    assert torch.equal(features_of(encoder, data, Context(), again.append), found)
    assert again == [300]
    assert SMALL.with_values(encoder="lite0").crafting_inputs() == {
        "encoder": {Lite0.published.name: Lite0.published.sha256}
    }
    assert "Lite0" in encoder.note
    assert not encoder.proxy


def test_clip_tower_is_the_published_one():
    """Known of CLIP RN50: 38,316,896 weights in its image tower; names as in the released files."""
    with torch.device("meta"):
        tower = ClipTower()
    assert sum(p.numel() for p in tower.parameters()) == 38_316_896
    names = set(tower.state_dict())
    assert {
        "conv3.weight",
        "layer1.0.downsample.0.weight",
        "layer2.0.downsample.1.running_var",
        "layer4.2.bn3.bias",
    } <= names
    assert {"attnpool.positional_embedding", "attnpool.q_proj.bias", "attnpool.c_proj.weight"} <= names
    assert tower.attnpool.positional_embedding.shape == (50, 2048)


def test_attention_pool_is_multi_head_attention():
    pool = ClipTower(8, (1, 1, 1, 1), 64, 4, 6).attnpool
    nn.init.normal_(pool.positional_embedding)
    maps = torch.randn(3, 256, 2, 2, generator=rng())
    tokens = maps.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    parts = (pool.q_proj, pool.k_proj, pool.v_proj)
    expected, _ = torch.nn.functional.multi_head_attention_forward(
        tokens[:1],
        tokens,
        tokens,
        256,
        4,
        torch.cat([part.weight for part in parts]),
        torch.cat([part.bias for part in parts]),
        None,
        None,
        False,
        0.0,
        pool.c_proj.weight,
        pool.c_proj.bias,
        training=False,
        need_weights=False,
    )
    assert torch.allclose(pool(maps), expected[0], atol=1e-5)


# ---------------------------------------------------------------- the encoder's file is part of a crafted set's name


def test_another_file_of_the_encoder_is_another_crafted_set(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(encoders, "ASSETS", tmp_path)
    (tmp_path / "encoder").mkdir()
    file = tmp_path / "encoder" / "embedded.safetensors"
    file.write_bytes(b"first")
    data = toy_set(40)
    poison_once(SMALL, data, Context(seed=3))
    assert SMALL.is_crafted(data, 3)
    file.write_bytes(b"other")
    assert not SMALL.is_crafted(data, 3)
    with pytest.raises(Unavailable):
        SMALL.preview(data.take([4, 2]), 3)
    file.write_bytes(b"first")
    assert SMALL.is_crafted(data, 3)
    assert SMALL.crafting_inputs() == {"encoder": {"embedded.safetensors": hashlib.sha256(b"first").hexdigest()}}


def test_every_encoder_has_its_files_in_the_name(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(pretrained, "weights_folder", lambda: tmp_path)
    labelled = SMALL.with_values(encoder="labelled").crafting_inputs()["encoder"]
    assert set(labelled) == {path.name for path in (encoders.ASSETS / "reference").glob("*.safetensors")} != set()
    for name, file in (("resnet50", "resnet50-0676ba61.pth"), ("clip", "RN50.pt")):
        attack = SMALL.with_values(encoder=name)
        assert attack.crafting_inputs() == {"encoder": {}}
        (tmp_path / file).write_bytes(b"weights")
        assert attack.crafting_inputs() == {"encoder": {file: hashlib.sha256(b"weights").hexdigest()}}


def test_other_attacks_keep_the_names_of_their_sets():
    others = [entry for entry in ATTACKS.values() if entry.needs_whole_set and entry is not UnlearnableClusters]
    assert others
    assert all(entry().crafting_inputs() == {} for entry in others)
