"""TAP, EMaxN and HYPO: what each makes of a surrogate that is trained and then left alone."""

import pytest
import torch

from tests.attacks.surrogate_error import surrogate_error
from tests.attacks.toy_set import CLASSES, toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import AdversarialPoison, ErrorMaximising, Hypocritical
from ued_core.attacks.checkpoint import crafted_card, poison_once
from ued_core.attacks.gradient import to_float
from ued_core.context import Context
from ued_core.errors import Cancelled
from ued_core.training import predict

TAP = AdversarialPoison(surrogate_width=8, surrogate_epochs=8, epsilon=24)
EMAX = ErrorMaximising(surrogate_width=8, surrogate_epochs=8, epsilon=24)
HYPO = Hypocritical(surrogate_width=8, surrogate_epochs=8)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def fresh_home(shared_home, monkeypatch):
    """One home for all: these attacks share their surrogate, which is trained once. Crafted sets are not kept here."""
    monkeypatch.setenv("UED_HOME", str(shared_home))


def crafted(attack, data, seed=1):
    made = attack.craft(data, Context(seed=seed), Draft())
    delta = made.images.short() - data.images.short()
    assert int(delta.abs().max()) <= attack.epsilon
    assert 0.2 < float((delta < 0).float().mean()) < 0.8
    return made, attack.as_surrogate(seed).network(data, Context())


def losses(network, images, labels):
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(network(to_float(images)), labels, reduction="none")


def test_tap_hits_the_next_class():
    data = toy_set()
    made, network = crafted(TAP, data)
    assert float((predict(network, made.images, Context()) == (data.labels + 1) % CLASSES).float().mean()) > 0.9
    assert surrogate_error(network, data.images, data.labels, Context()) < 0.1
    assert made.log["converged"]


def test_untargeted_tap_only_leaves_the_own_class():
    data = toy_set()
    made, network = crafted(TAP.with_values(goal="untargeted"), data)
    assert surrogate_error(network, made.images, data.labels, Context()) > 0.9
    assert made.log["trace"][0]["hit_rate"] > 0.9


def test_tap_keeps_the_best_of_its_starts():
    data, attack = toy_set(60), TAP.with_values(restarts=3, steps=3)
    made, network = crafted(attack, data)
    rows = made.log["trace"]
    assert [row["start"] for row in rows] == [1, 2, 3]
    assert len({row["loss"] for row in rows}) == 3
    reached = float(losses(network, made.images, (data.labels + 1) % CLASSES).mean())
    assert reached == pytest.approx(min(row["loss"] for row in rows), abs=0.02)
    first = TAP.with_values(restarts=1, steps=3).craft(data, Context(seed=1), Draft())
    assert first.log["trace"] == rows[:1]


@pytest.mark.parametrize("granularity", ["sample", "class"])
def test_emax_makes_the_surrogate_wrong(granularity):
    data = toy_set(400 if granularity == "class" else 160)
    rounds = 100 if granularity == "class" else 3
    made, network = crafted(EMAX.with_values(granularity=granularity, max_rounds=rounds, epsilon=32), data)
    wrong = surrogate_error(network, made.images, data.labels, Context())
    assert wrong > surrogate_error(network, data.images, data.labels, Context()) + 0.5
    assert made.log["converged"] == (made.log["trace"][-1]["error"] >= (0.9 if granularity == "sample" else 0.8))
    if granularity == "sample":
        assert wrong >= 0.8


def test_emax_class_wise_has_one_pattern_a_class():
    data = toy_set()
    grey = data.with_images(
        torch.randint(60, 190, data.images.shape, generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    )
    made, _ = crafted(EMAX.with_values(granularity="class"), grey)
    assert len({d.numpy().tobytes() for d in made.images.short() - grey.images.short()}) == CLASSES


def test_hypo_lowers_the_loss_of_every_image():
    data = toy_set()
    made, network = crafted(HYPO, data)
    before, after = losses(network, data.images, data.labels), losses(network, made.images, data.labels)
    assert float((after < before).float().mean()) > 0.99
    row = made.log["trace"][0]
    assert row["before"] == pytest.approx(float(before.mean()), rel=1e-3)
    assert row["after"] == pytest.approx(float(after.mean()), rel=0.2, abs=1e-4)


@pytest.mark.parametrize(
    "attack", [TAP.with_values(restarts=2), EMAX.with_values(max_rounds=4, step_size=0.01), HYPO], ids=lambda a: a.key
)
def test_going_on_gives_what_one_execution_gives(attack, tmp_path):
    data, path = toy_set(300), tmp_path / "state"
    whole = attack.craft(data, Context(seed=1), Draft())
    reports = []
    attack.craft(data, Context(seed=1, on_report=lambda done, total, text: reports.append(done)), Draft())
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 0.7 * len(reports)

    with pytest.raises(Cancelled):
        attack.craft(data, Context(seed=1, stop=stop), Draft(path, every_s=0))
    assert path.exists()
    later = []
    rest = attack.craft(
        data, Context(seed=1, on_report=lambda done, total, text: later.append(done)), Draft(path, every_s=0)
    )
    assert torch.equal(rest.images, whole.images)
    assert rest.log == whole.log
    assert len(later) < 0.8 * len(reports)


@pytest.mark.parametrize("attack", [TAP, HYPO])
def test_the_log_tells_what_the_surrogate_knows_of_clean_images(attack, tmp_path, monkeypatch):
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    data = toy_set()
    poison_once(attack.with_values(steps=1), data, Context(seed=1))
    card = attack.as_surrogate(1).card(data)
    said = crafted_card(attack.with_values(steps=1), 1, data.content_hash)["log"]["surrogate"]
    assert f"{100 * card['held_out_accuracy']:.1f} % of {card['held_out']:,} that were held out" in said
    assert "Small CNN after 8 epochs" in said
    assert ("trained against shifts" in said) == (attack.surrogate_note(data, 1) != "" and card["robust_radius"] > 0)
