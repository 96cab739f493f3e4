"""The page Consistency Θ: exact numbers on it, the slider it shares, measured points, and the live experiment."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy.stats import norm

from pages.state.background import Handle
from pages.state.theta_words import STRENGTHS, few_words, limit_words
from pages.theta import mixture as theta_mixture
from pages.theta.mixture import strength_words
from tests.pages.components import charts
from ued_core.attacks import ATTACKS
from ued_core.attacks.convolution import draw_kernels
from ued_core.data import DATASETS
from ued_core.models import MODELS
from ued_core.runs import RunFolder, RunSpec, runs_root
from ued_core.theory import expected, limit, theta
from ued_core.theory.curve_words import number
from ued_core.theory.gaussian_mixture import Mixture, evaluate, sweep
from ued_core.theory.jitter import theta_jittered
from ued_core.training import PLANS

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


FILES = {
    "theta_panels": ("theta_cuda", "theta_vuda"),
    "theta_supports": ("theta_supports",),
    "theta_accuracy": ("accuracy_theta",),
    "theta_ways": ("mixture_accuracy",),
    "theta_scores": ("mixture_scores",),
    "theta_matrices": ("mixture_matrices",),
}


def chart(page, name):
    """What a live chart was given."""
    (found,) = (data for data in charts(page) if data["filename"].startswith(FILES[name]))
    return found


def numbers(page):
    caption = re.sub(r" × 10\^\{−(\d+)\}", r"e-\1", chart(page, "theta_panels")["caption"])
    return [float(x) for x in re.findall(r"= ([0-9.]+(?:e[+-][0-9]+)?)", caption)[:3]]


def names(page, key):
    return [trace.get("name") for trace in json.loads(chart(page, key)["figure"])["data"]]


def test_content(open_page) -> None:
    page = open_page("theta", SMALL)
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Consistency Θ"
    assert len(page.header) == 3
    exact = theta(draw_kernels(10, 3, 0.3, "full", 0), 2.0, 20, np.random.default_rng(0))
    strength, imi, imc = numbers(page)
    assert strength == 2.0
    assert imi == pytest.approx(exact.imi, rel=1e-3)
    assert imc == pytest.approx(exact.imc, abs=1e-3)
    for key in ("theta_panels", "theta_supports", "theta_accuracy", "theta_ways", "theta_scores", "theta_matrices"):
        given = chart(page, key)
        assert given["question"].endswith("?")
        assert given["formula"]
        assert given["caption"]
        assert len(given["alt"]) > 40
        assert len(given["figure"]) < 600_000
    assert set(names(page, "theta_supports")) == {"CUDA (k × k)", "VUDA (k × 1)", "HUDA (1 × k)"}


@pytest.mark.parametrize(("attack", "seed"), [("cuda", 0), ("vuda", 7)])
def test_what_is_said_of_the_curves_is_what_is_drawn(open_page, attack, seed) -> None:
    """Both pages read the shape off the curves beside them; nothing is said of α that holds for other kernels only."""
    kernels = ATTACKS.build(attack).kernels(10, seed)
    full = [limit(kernels, float(a)) for a in STRENGTHS]
    of_limits = limit_words(STRENGTHS, (np.array([t.imi for t in full]), np.array([t.imc for t in full])))
    of_few = few_words(STRENGTHS, (np.zeros(len(full)), np.array([expected(t, 20, 1024)[1] for t in full])), 20)
    for name in ("theta", "defence"):
        page = open_page(name, {**SMALL, "attack": attack, "key": str(seed), "samples": "20"})
        assert not page.exception
        told = " ".join(m.value for m in page.markdown)
        assert of_limits in told
        assert of_few in told
        assert "keeps rising" not in told
        assert "about 1 %" not in told


def test_supports_are_compared_at_both_ends_as_drawn(open_page) -> None:
    page = open_page("theta", SMALL)
    caption, starts = chart(page, "theta_supports")["caption"], {}
    for name, support in (("CUDA", "full"), ("VUDA", "column"), ("HUDA", "row")):
        starts.setdefault(number(limit(draw_kernels(10, 3, 0.3, support, 0), 0.0).imc), []).append(name)
    ordered = sorted(starts.items(), key=lambda item: -float(item[0]))
    assert (
        "Θ_{imc} begins at "
        + " and ".join(f"{value} ({' and '.join(names)})" for value, names in ordered)
        + " and ends at "
        in caption
    )


def test_words_about_the_random_matrix_follow_its_curve(open_page, monkeypatch) -> None:
    along = sweep(Mixture(), "strength", 31, 2000, 0)
    words = strength_words(along.values, along.accuracy, along.imi, along.imc)
    best = int(along.accuracy.argmax())
    assert 0 < best < 30
    assert f"highest ({100 * along.accuracy[best]:.1f} %) at α = {number(along.values[best])}" in words
    reversed_curve = strength_words(along.values, along.accuracy[::-1], along.imi[::-1], along.imc[::-1])
    assert f"at α = {number(along.values[30 - best])}." in reversed_curve
    # The side process may be done before the page is drawn, so both states are given here.
    answer = Handle("sweep", None)
    real = theta_mixture.background.submit
    monkeypatch.setattr(
        theta_mixture.background,
        "submit",
        lambda key, function, *given, **more: (
            answer if given[1:2] == ("strength",) else real(key, function, *given, **more)
        ),
    )
    page = open_page("theta", SMALL)
    assert any("is not there yet" in m.value for m in page.markdown)
    answer.state, answer.value = "ready", along
    answer.done.set()
    page.run()
    assert any(words in m.value for m in page.markdown)


def test_the_slider_is_that_of_the_defence_page(open_page) -> None:
    page = open_page("theta", {**SMALL, "defence_coin_strength": "0.75"})
    assert numbers(page)[0] == 0.75
    page.slider(key="defence_coin_strength").set_value(0.0).run()
    assert numbers(page)[:2] == [0.0, 0.0]
    mark = json.loads(chart(page, "theta_supports")["figure"])["layout"]["shapes"][0]
    assert mark["x0"] == mark["x1"] == 0.0


def test_jitter_gives_every_sample_a_kernel_of_its_own(open_page) -> None:
    page = open_page("theta", {**SMALL, "theta_jitter": "0.1", "samples": "6", "defence_coin_strength": "0.0"})
    exact = theta_jittered(draw_kernels(10, 3, 0.3, "full", 0), 0.0, 0.1, 6, np.random.default_rng(0))
    assert numbers(page)[1] == pytest.approx(exact.imi, rel=1e-3)


def test_shipped_results_are_points_and_other_data_says_how_to_get_them(open_page) -> None:
    page = open_page("theta", SMALL)
    figure = json.loads(chart(page, "theta_accuracy")["figure"])
    assert all("shipped" in trace["name"] for trace in figure["data"])
    assert any("common" in trace["name"] for trace in figure["data"]), "the control has Θ_imc = 1"
    page = open_page("theta", {**SMALL, "attack": "vuda"})
    assert any("No model has been trained" in info.value for info in page.info)
    assert "yaxis3" not in json.loads(chart(page, "theta_panels")["figure"])["layout"]


def finish(spec: RunSpec, accuracy: float) -> None:
    """A run's folder as a worker leaves it."""
    folder = RunFolder.create(runs_root(), spec.to_json(), {"title": spec.title(), "key": spec.key()})
    folder.result_path.write_text(
        json.dumps({"last": accuracy, "best": accuracy, "train_accuracy": 1.0, "epochs": 10}), "utf-8"
    )


def test_finished_runs_become_points_at_their_strength(open_page, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    spec = {"dataset": "shapes", "attack": "vuda", "model": next(iter(MODELS)), "plan": next(iter(PLANS))}
    assert "shapes" in DATASETS
    finish(RunSpec.from_json({**spec, "defenses": [{"name": "coin", "strength": 1.2}]}), 0.625)
    finish(RunSpec.from_json({**spec, "poison_rate": 0.5}), 0.9)
    finish(RunSpec.from_json({**spec, "attack": None}), 0.99)
    page = open_page("theta", {**SMALL, "attack": "vuda"})
    assert not page.exception
    caption = chart(page, "theta_accuracy")["caption"]
    assert caption.startswith("1 model (with COIN: mean 62.5 % of 1")

    def over_strengths(page) -> list[dict]:
        return [t for t in json.loads(chart(page, "theta_panels")["figure"])["data"] if t.get("yaxis") == "y3"]

    assert not over_strengths(page), "one strength is no curve over α"
    for strength in (0.6, 1.8):
        finish(RunSpec.from_json({**spec, "defenses": [{"name": "coin", "strength": strength}]}), 0.5)
    points = over_strengths(open_page("theta", {**SMALL, "attack": "vuda"}))
    assert len(points) == 1
    assert "trained here" in points[0]["name"]


def test_the_experiment_follows_its_sliders(open_page) -> None:
    page = open_page("theta", SMALL)

    def accuracy() -> float:
        return float(re.search(r"Now: \*\*([0-9.]+) %", chart(page, "theta_ways")["caption"])[1])

    assert accuracy() == pytest.approx(100 * evaluate(Mixture(), 0, 2000, 0).accuracy, abs=0.06)
    page.slider(key="mixture_approach").set_value(1.0).run()
    assert accuracy() == pytest.approx(100 * norm.cdf(2.0), abs=1.5)
    page.slider(key="mixture_strength").set_value(1.7).run()
    page.slider(key="mixture_approach").set_value(0.0).run()
    assert accuracy() == pytest.approx(100 * evaluate(Mixture(strength=1.7), 0, 2000, 0).accuracy, abs=0.06)
    heat = json.loads(chart(page, "theta_matrices")["figure"])["data"]
    assert len(heat) == 3
