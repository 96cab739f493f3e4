"""What figures say of where they come from when they are taken along."""

import re

from pages.frame.provenance import ABOUT
from tests.pages.components import charts
from tests.runs.test_identity import finished
from ued_core.runs import RunSpec

SMALL = {"data_shapes_train_size": "100", "data_shapes_test_size": "50"}


def test_a_figure_names_every_parameter_the_key_and_the_hash_of_the_data(open_page) -> None:
    page = open_page("perturbations", {**SMALL, "attack_cuda_blur": "0.2", "key": "3"})
    assert not page.exception
    about = {chart["about"] for chart in charts(page)}
    assert len(about) == 1
    (text,) = about
    assert "train size = 100" in text
    assert "Attack: CUDA (blur p_b = 0.2, kernel size k = 3" in text
    assert "private key 3" in text
    assert re.search(r"100 training images with content hash [0-9a-f]{12}\.", text)
    (program,) = {chart["program"] for chart in charts(page)}
    assert re.fullmatch(r"UED Studio \d+\.\d+\.\d+", program)


def test_another_page_does_not_keep_it(open_page) -> None:
    page = open_page("runs")
    page.session_state[ABOUT] = "of another page"
    page.run()
    assert ABOUT not in page.session_state


def test_a_runs_figures_name_the_run_its_key_and_its_hashes(open_page) -> None:
    open_page("runs")
    spec = RunSpec.from_json(
        {
            "dataset": {"name": "shapes", "train_size": 100, "test_size": 50},
            "attack": "cuda",
            "seed": 4,
            "attack_seed": 7,
        }
    )
    run_id = finished(spec).run_id
    page = open_page("runs", {"run": run_id})
    text = page.session_state[ABOUT]
    assert f"Run {run_id}: Shapes · CUDA · Small CNN, seed 4, private key 7; spec {spec.key()}" in text
    assert "clean images 0a, trained on 0b" in text
