"""The judgement on a trained model: thirds from guessing upwards, and what another draw of test images may change."""

import pytest

from ued_core.analysis.learnability import judge


@pytest.mark.parametrize(
    ("train", "test", "attacked", "kind"),
    [(1.0, 0.39, True, "unlearnable"), (1.0, 0.41, True, "partly"), (1.0, 0.71, True, "learnable"),
     (1.0, 0.71, False, "generalises"), (1.0, 0.69, False, "overfits"), (0.54, 0.54, True, "unfitted")],
)  # fmt: skip
def test_thirds_count_from_guessing(train: float, test: float, attacked: bool, kind: str) -> None:
    judged = judge(train, test, 10, attacked, 10_000_000)
    assert judged.kind == kind
    assert judged.between == (kind, kind)


def test_few_images_give_no_judgement_and_some_give_none_near_a_border() -> None:
    assert judge(1.0, 0.2, 10, True, 99).kind == "few"
    assert judge(1.0, 0.2, 10, True, 100).kind == "unlearnable"
    near = judge(1.0, 0.40, 10, True, 200)
    assert near.kind == "border"
    assert near.between == ("unlearnable", "partly")
