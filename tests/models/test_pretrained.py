"""Networks that start from published weights: the files, what they compute, and what stays fixed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import FEATURES
from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.models import MODELS, Lite0, PretrainedNet, pretrained
from ued_core.models.clip_tower import ClipTower
from ued_core.models.efficientnet_lite import STAGES, SamePaddedConv
from ued_core.models.pretrained import ClipRn50, ConvNeXtTiny, ImageNetResNet50, Tower
from ued_core.training import PLANS, Job, features, predict, train

PALACE, LAKESIDE, DAISY = 698, 975, 985


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def published() -> Mapping[str, torch.Tensor]:
    return torch.load(Lite0().file(), weights_only=True)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for weights, as on a machine that has neither the package nor any download."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Lite0, "published", Lite0.published._replace(package=("no_such_package_here", "models")))
    pretrained.weights_folder().mkdir(parents=True)
    return pretrained.weights_folder()


# ---------------------------------------------------------------- EfficientNet-Lite0


def same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's rule, from its documentation: as little as gives ⌈side/stride⌉, the odd one behind."""
    missing = max(kernel - stride, 0) if side % stride == 0 else max(kernel - side % stride, 0)
    return missing // 2, missing - missing // 2


def folded(x: torch.Tensor, held: Mapping[str, torch.Tensor], conv: str, norm: str, stride: int, act: bool):
    """A convolution with its normalisation folded into weights and bias, in double precision."""
    weight = held[f"{conv}.weight"].double()
    scale = held[f"{norm}.weight"].double() / (held[f"{norm}.running_var"].double() + 1e-3).sqrt()
    shift = held[f"{norm}.bias"].double() - held[f"{norm}.running_mean"].double() * scale
    groups = x.shape[1] // weight.shape[1]
    (top, bottom), (left, right) = (same(side, weight.shape[-1], stride) for side in x.shape[-2:])
    x = F.pad(x, (left, right, top, bottom))
    found = F.conv2d(x, weight * scale[:, None, None, None], shift, stride, groups=groups)
    return found.clamp(0, 6) if act else found


def lite0_by_hand(x: torch.Tensor, held: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Features (N, 1280) straight from the names and shapes in the file."""
    x = folded(x.double(), held, "_conv_stem", "_bn0", 2, True)
    strides = {0: 1, 1: 2, 3: 2, 5: 2, 8: 1, 11: 2, 15: 1}
    for block in range(16):
        at, before = f"_blocks.{block}", x
        if f"{at}._expand_conv.weight" in held:
            x = folded(x, held, f"{at}._expand_conv", f"{at}._bn0", 1, True)
        x = folded(x, held, f"{at}._depthwise_conv", f"{at}._bn1", strides.get(block, 1), True)
        x = folded(x, held, f"{at}._project_conv", f"{at}._bn2", 1, False)
        if block not in strides:
            x = x + before
    return folded(x, held, "_conv_head", "_bn1", 1, True).mean((2, 3))


@pytest.mark.parametrize("side", [96, 75, 33])
def test_lite0_computes_what_its_file_says(side: int) -> None:
    held, x = published(), torch.randn(2, 3, side, side, generator=rng())
    with torch.no_grad():
        assert torch.allclose(Lite0().tower()(x).double(), lite0_by_hand(x, held), atol=1e-4)


def test_lite0_has_the_size_of_its_file() -> None:
    held = published()
    learned = sum(v.numel() for k, v in held.items() if not k.endswith(("running_mean", "running_var", "tracked")))
    network = Lite0(mode="fine_tune").build((3, 32, 32), 1000, rng())
    assert sum(p.numel() for p in network.parameters()) == learned == 4_652_008
    assert sum(count for *_, count in STAGES) == 16
    assert {k for k in held if k.startswith("_fc")} == {"_fc.weight", "_fc.bias"}, "all others are in the body"
    assert len(network.body.state_dict()) == len(held) - 2


def test_lite0_knows_a_pavilion_and_a_daisy() -> None:
    """Two real photographs that come with scikit-learn: a Chinese palace at a lake, and a flower."""
    from sklearn.datasets import load_sample_images

    held, net = published(), Lite0(mode="probe", side=224)
    network = net.build((3, 427, 427), 1000, rng()).eval()
    network.head.load_state_dict({"weight": held["_fc.weight"], "bias": held["_fc.bias"]})
    best = []
    for photograph in load_sample_images().images:
        square = torch.from_numpy(np.array(photograph[:, 100:527])).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            best.append(network(square)[0].topk(5).indices.tolist())
    assert best[0][0] == PALACE
    assert LAKESIDE in best[0]
    assert best[1][0] == DAISY


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 5, 2), (9, 5, 2), (6, 3, 1), (5, 5, 1)]
)
def test_same_padding(side: int, kernel: int, stride: int) -> None:
    conv, x = SamePaddedConv(1, 1, kernel, stride), torch.rand(1, 1, side, side)
    (before, after), found = same(side, kernel, stride), conv(x)
    assert found.shape[-1] == -(-side // stride)
    assert torch.allclose(found, F.conv2d(F.pad(x, (before, after, before, after)), conv.weight, None, stride))


# ---------------------------------------------------------------- files


def test_without_the_package_the_message_says_what_to_install(elsewhere: Path) -> None:
    with pytest.raises(Unavailable, match=r"efficientnet-lite0-57934424\.pth.*pip install efficientnet-lite0") as told:
        Lite0().build((3, 32, 32), 4, rng())
    assert str(elsewhere) in str(told.value)


def test_a_file_put_into_the_folder_serves_without_the_package(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    content = Lite0().file().read_bytes()
    monkeypatch.setenv("UED_HOME", str(elsewhere.parent))
    monkeypatch.setattr(Lite0, "published", Lite0.published._replace(package=("no_such_package_here", "models")))
    (elsewhere / Lite0.published.name).write_bytes(content)
    assert Lite0().file() == elsewhere / Lite0.published.name
    assert len(Lite0().tower()(torch.zeros(1, 3, 32, 32))[0]) == 1280


@pytest.mark.parametrize("model", [Lite0, ImageNetResNet50, ConvNeXtTiny])
def test_a_file_with_another_digest_is_refused(model: type[PretrainedNet], elsewhere: Path) -> None:
    path = elsewhere / model.published.name
    torch.save({"stem": torch.zeros(3)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(Unavailable, match=rf"SHA-256 {digest[:8]}….*{model.published.sha256[:8]}"):
        model().tower()


@pytest.mark.parametrize("name", list(MODELS.where(starts_pretrained=True)))
@pytest.mark.parametrize("kind", ["cut", "text", "other", "list", "shape"])
def test_a_damaged_file_of_ones_own_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    with torch.device("meta"):
        first = next(iter(MODELS[name].names().values())), next(iter(MODELS[name]().network((3, 8, 8), 2).parameters()))
    held = {"other": {"x": torch.zeros(2)}, "list": [1, 2], "shape": {f"{first[0]}.weight": torch.zeros(2)}}
    torch.save(held.get(kind, {"x": torch.zeros(9999)}), path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    if kind == "text":
        path.write_text("no weights")
    with pytest.raises(Unavailable, match=r"mine\.pth does not hold the weights of .*published"):
        MODELS.build(name, weights=str(path)).build((3, 32, 32), 4, rng())
    with pytest.raises(Unavailable, match="there is no file of weights"):
        MODELS.build(name, weights=str(tmp_path / "absent.pth")).build((3, 32, 32), 4, rng())


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    path, mark = tmp_path / "mine.pth", tmp_path / "executed"

    class Bad:
        def __reduce__(self):
            return Path.touch, (mark,)

    torch.save({"_conv_stem.weight": Bad()}, path)
    with pytest.raises(Unavailable, match="does not hold"):
        Lite0(weights=str(path)).tower()
    assert not mark.exists()


def drawn(make: type[nn.Module] | object, *args: object, **kwargs: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = make(*args, **kwargs).eval()  # type: ignore[operator]
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
    return made


@pytest.mark.parametrize(("model", "last"), [(ImageNetResNet50, "fc"), (ConvNeXtTiny, "classifier.2")])
def test_torchvisions_layout(model: type[PretrainedNet], last: str, tmp_path: Path, monkeypatch, elsewhere) -> None:
    """Random weights as torchvision saves them: features are what its own last layer gets."""
    import torchvision.models

    network = drawn(getattr(torchvision.models, {"fc": "resnet50"}.get(last, "convnext_tiny")), weights=None)
    kept = elsewhere / "weights.pth"
    torch.save(network.state_dict(), kept)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    monkeypatch.setattr(model, "published", model.published._replace(sha256=digest[:8]))
    kept.rename(elsewhere / model.published.name)
    seen: list[torch.Tensor] = []
    network.get_submodule(last).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 96, 96, generator=rng())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    made = model().build((3, 96, 96), 5, rng()).eval()
    with torch.no_grad():
        network((images - mean) / std)
        assert torch.allclose(made.features(images), seen[0].flatten(1), atol=1e-3)
        assert made(images[:, :1, :20, :32]).shape == (2, 5)
    assert made.frozen is not None
    assert made.frozen.sha256 == digest
    tuned = model(mode="fine_tune", side=64).build((3, 64, 64), 5, rng())
    F.cross_entropy(tuned(images), torch.tensor([0, 1])).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in tuned.parameters())


def holder(state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Modules that have these names and compute nothing."""
    made = nn.Module()
    for name, value in state.items():
        *path, last = name.split(".")
        place = made
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_buffer(last, value)
    return made


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_clips_layouts(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """OpenAI's archive is TorchScript in half precision; others save a dictionary. Features are those of the tower."""
    monkeypatch.setattr(pretrained, "ClipTower", lambda: ClipTower(8, (2, 1, 1, 1), 224, 4, 6))
    tower = drawn(ClipTower, 8, (2, 1, 1, 1), 224, 4, 6)
    nn.init.normal_(tower.attnpool.positional_embedding, std=0.02, generator=rng())
    state = {f"visual.{name}": value for name, value in tower.state_dict().items()}
    path, images = elsewhere / "RN50.pt", torch.rand(1, 3, 224, 224, generator=rng())
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (ClipRn50.mean, ClipRn50.std))
    with torch.no_grad():
        expected = tower((images - mean) / std)
        parallel = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
        for held in ({**state, "logit_scale": torch.ones(())}, parallel, tower.state_dict()):
            torch.save(held, path)
            network = ClipRn50().build((3, 224, 224), 3, rng()).eval()
            assert torch.allclose(network.features(images), expected, atol=1e-4)
    torch.jit.script(holder({name: value.half() for name, value in state.items()})).save(str(path))
    with pytest.raises(Unavailable, match="the published file has afeb0e10"):
        ClipRn50().tower()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(ClipRn50, "published", ClipRn50.published._replace(sha256=digest))
    read = ClipRn50().tower()
    with torch.no_grad():
        assert torch.allclose(read((images - mean) / std), expected, atol=0.02), "half precision"


def test_weights_without_counts_of_batches_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({name: value for name, value in published().items() if not name.endswith("tracked")}, path)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(Lite0(weights=str(path)).tower()(x), Lite0().tower()(x))


# ---------------------------------------------------------------- what is fixed, and what learns


def test_a_probe_learns_its_head_alone() -> None:
    data = toy_set(64)
    network = Lite0(side=32).build(data.shape, data.classes, rng())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert [name for name, _ in network.named_parameters()] == ["head.weight", "head.bias"]
    images = torch.rand(2, *data.shape, requires_grad=True)
    network.train()
    network(images).sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0, "attacks on images need their gradient"
    train(Job(data, data, network, PLANS.build("adamw", epochs=1, crop=2)), Context())
    moved = [name for name, value in network.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["head.weight", "head.bias"], "statistics of batches stay too"


def test_known_features_train_what_features_batch_by_batch_train() -> None:
    """Images that never change: a head on features that were computed once learns what it learns on fresh ones."""
    data, recipe = toy_set(300), PLANS.build("adamw", epochs=2, crop=0, flip="off", batch_size=32)

    def trained(draws: bool) -> tuple[list[dict[str, float]], torch.Tensor]:
        network = Lite0(side=32).build(data.shape, data.classes, rng())
        rows = train(Job(data, data.take(torch.arange(50)), network, recipe, draws=draws), Context()).rows
        return rows, network.head.weight.detach().clone()

    (known, first), (fresh, second) = trained(False), trained(True)
    assert torch.allclose(first, second, atol=1e-4)
    for a, b in zip(known, fresh, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert (a["train_accuracy"], a["test_accuracy"]) == (b["train_accuracy"], b["test_accuracy"])


def test_features_of_a_set_are_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    data, network = toy_set(300), Lite0(side=32).build((3, 12, 12), 4, rng())
    passes: list[int] = []
    network.body.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    found = features(network, data.images, Context())
    assert sum(passes) == 300
    assert torch.equal(features(network, data.images, Context()), found)
    # Labels and another head change no feature.
    other = Lite0(side=32).build((3, 12, 12), 7, rng(1))
    other.body.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    with torch.no_grad():
        assert torch.equal(predict(other, data.images, Context()), other.head(found).argmax(1))
    assert sum(passes) == 300
    # Another size, other images and few images are looked at anew.
    larger = Lite0(side=48).build((3, 12, 12), 4, rng())
    assert not torch.allclose(features(larger, data.images, Context()), found)
    features(network, 255 - data.images, Context())
    features(network, data.images[:10], Context())
    features(network, data.images[:10], Context())
    assert sum(passes) == 620
    (folder,) = [e.path for e in FEATURES.entries() if FEATURES.card(e.path)["side"] == 48]
    card = FEATURES.card(folder)
    assert (card["encoder"], card["sha256_of_weights"], card["images"]) == ("lite0", Lite0.published.sha256, 300)
    # A damaged one is made again.
    np.save(folder / "features.npy", np.zeros((300, 1280), np.float32))
    assert features(larger, data.images, Context()).abs().sum() > 0


def test_a_network_that_learns_keeps_no_features() -> None:
    network = Lite0(mode="fine_tune", side=32).build((3, 12, 12), 4, rng())
    assert network.frozen is None
    count = len(FEATURES.entries())
    features(network, toy_set(300).images, Context())
    assert len(FEATURES.entries()) == count


def test_tower_runs_stage_after_stage() -> None:
    stages, _ = Lite0.stages()
    tower = Tower(stages)
    assert [name for name, _ in tower.named_children()] == [name.replace(" ", "_") for name in stages]
