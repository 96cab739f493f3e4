"""The feature room: what is shown is what the network computes, and a layout seen before comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ued_core.analysis.clusters import activation_clusters, silhouette
from ued_core.analysis.embedding import pca_layout, warm_up
from ued_core.analysis.reference import encoder_network, encoder_words, ready_encoders, reference_network
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin, DefenseStack
from ued_core.errors import RunError, UnknownName
from ued_core.files import write_json
from ued_core.records import ImageSet, balanced_rows, to_float
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.pipeline import execute
from ued_core.studies.feature_room import (
    feature_room,
    frame_epochs,
    lay_out_epochs,
    lay_out_vectors,
    look_at_epochs,
    quality_at,
)
from ued_core.studies.layout import COPIES, copies
from ued_core.training import features, predict

RUN = "20261121-000000-000-0000"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def chosen() -> tuple[ImageSet, np.ndarray]:
    data = DATASETS.build("shapes", train_size=200, test_size=100).load(Context()).train
    rows = balanced_rows(data.labels, 4, 0)
    return data.take(rows), rows


def work(chosen: tuple[ImageSet, np.ndarray]) -> tuple:
    return (chosen[0], Cuda(), 7, DefenseStack([Coin()]), 3)


def test_a_room_of_a_pretrained_encoder(chosen: tuple[ImageSet, np.ndarray]) -> None:
    """Its features are those of the encoder; its answers are fitted to the clean images, which it then knows."""
    data, rows = chosen
    room = feature_room(*work(chosen), rows, "lite0", None, "penultimate", "pca")
    network = encoder_network("lite0", data, Context())
    made = copies(*work(chosen))
    vectors = np.concatenate([features(network, part.images, Context()).numpy() for part in made.values()])
    np.testing.assert_allclose(room.look.vectors, vectors, atol=1e-3)
    assert room.look.predictions[: len(rows)].tolist() == data.labels.tolist()
    assert not network.training
    assert network.frozen is not None
    assert "lite0" in ready_encoders()
    assert "clip_rn50" not in ready_encoders()
    assert "EfficientNet-Lite0" in encoder_words("lite0")


def test_a_room_of_the_reference_model(chosen: tuple[ImageSet, np.ndarray]) -> None:
    data, rows = chosen
    room = feature_room(*work(chosen), rows, "shapes", None, "penultimate", "pca")
    network = reference_network("shapes")
    made = copies(*work(chosen))
    vectors = np.concatenate([features(network, part.images, Context()).numpy() for part in made.values()])
    np.testing.assert_allclose(room.look.vectors, vectors, atol=1e-5)
    answers = torch.cat([predict(network, part.images, Context()) for part in made.values()])
    assert room.look.predictions.tolist() == answers.tolist()
    with torch.no_grad():
        scores = network(to_float(made["poisoned"].images))
    np.testing.assert_allclose(
        room.look.confidence[len(rows) : 2 * len(rows)], scores.softmax(1).max(1).values, atol=1e-5
    )
    np.testing.assert_allclose(room.embedding.points, pca_layout(vectors), atol=1e-3)
    assert room.embedding.group.tolist() == [name for name in COPIES for _ in rows]
    assert room.embedding.rows.tolist() == rows.tolist() * 3
    assert room.origin == "recomputed"
    labels = data.labels.numpy()
    own = vectors[len(rows) : 2 * len(rows)]
    assert room.look.measures["poisoned"].silhouette == pytest.approx(silhouette(own, labels), abs=1e-4)


def test_measures_are_of_the_layer_and_its_fields(chosen: tuple[ImageSet, np.ndarray]) -> None:
    data, rows = chosen
    room = feature_room(*work(chosen), rows, "shapes", None, "block 2", "pca")
    with torch.no_grad():
        fields = reference_network("shapes").activations(to_float(data.images), ["block 2"], 4)["block 2"]
    assert room.look.vectors.shape[1] == 48
    assert room.look.measures["clean"].acm == pytest.approx(
        activation_clusters(fields.numpy(), data.labels.numpy()), rel=1e-4
    )
    with pytest.raises(UnknownName, match="block 9"):
        feature_room(*work(chosen), rows, "shapes", None, "block 9", "pca")


def test_a_layout_is_stored_and_comes_back_turned_towards_the_one_before() -> None:
    warm_up()
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    first, origin = lay_out_vectors(vectors, "umap")
    assert origin == "recomputed"
    again, origin = lay_out_vectors(vectors, "umap")
    assert origin == "stored"
    np.testing.assert_array_equal(first, again)
    turned = first[:, ::-1] * np.float32([1, -1])
    near, origin = lay_out_vectors(vectors, "umap", turned, vectors)
    assert origin == "stored"
    np.testing.assert_allclose(near, turned, atol=1e-3)
    other, origin = lay_out_vectors(vectors, "umap", turned[:-1], vectors[:-1])
    assert origin == "stored"
    np.testing.assert_array_equal(other, first)


def test_every_epoch_of_a_run(
    chosen: tuple[ImageSet, np.ndarray], spec_of: Callable[..., RunSpec], tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "runs" / RUN)
    folder.path.mkdir(parents=True)
    spec = spec_of(epochs=3, attack="cuda", device="cpu")
    write_json(folder.spec_path, spec.to_json())
    result = execute(spec, Context(), epoch_folder=folder.epoch_folder)
    found = quality_at(RUN, 3)
    assert found.as_trained == pytest.approx(result.last)
    assert (found.images, found.values) == (result.data.train, spec.model.width * 4)
    looks = look_at_epochs(*work(chosen), RUN, (0, 2, 3), "block 1")
    assert [seen.vectors.shape for seen in looks] == [(3 * len(chosen[1]), 4)] * 3
    one = feature_room(*work(chosen), chosen[1], RUN, 2, "block 1", "pca")
    np.testing.assert_array_equal(one.look.vectors, looks[1].vectors)
    assert not np.array_equal(looks[0].vectors, looks[1].vectors)
    assert one.embedding.source == RUN
    frames = [seen.vectors for seen in looks]
    warm_up()
    points, origin = lay_out_epochs(frames, "umap")
    assert (points.shape, origin) == ((3, 3 * len(chosen[1]), 2), "recomputed")
    again, origin = lay_out_epochs(frames, "umap")
    assert origin == "stored"
    np.testing.assert_array_equal(points, again)
    shared, origin = lay_out_epochs(frames, "pca")
    assert (shared.shape, origin) == (points.shape, "recomputed")
    with pytest.raises(RunError, match="no weights of epoch 9"):
        look_at_epochs(*work(chosen), RUN, (9,), "block 1")


def test_many_epochs_are_thinned_out_with_both_ends() -> None:
    assert frame_epochs((0, 1, 2)) == (0, 1, 2)
    thinned = frame_epochs(tuple(range(61)))
    assert len(thinned) == 21
    assert (thinned[0], thinned[1], thinned[-1]) == (0, 3, 60)
