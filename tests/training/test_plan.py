"""Schedules by hand."""

import math

import pytest
import torch

from ued_core.training import PLANS, AdamW, Sgd
from ued_core.training.plan import fast_bfloat16


def test_one_cycle_by_hand() -> None:
    plan = AdamW(schedule="one_cycle")
    # 0.1 rising in a line to 1 at a quarter, then half a cosine from 1 down to 0.01.
    expected = {0: 0.1, 10: 0.1 + 0.9 * 0.4, 25: 1.0, 50: 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 3)), 100: 0.01}
    for step, factor in expected.items():
        assert plan.rate(step, 100) == pytest.approx(factor, abs=1e-12)
    factors = [plan.rate(step, 100) for step in range(100)]
    assert factors[:26] == sorted(factors[:26])
    assert factors[25:] == sorted(factors[25:], reverse=True)


def test_cosine_and_constant_by_hand() -> None:
    assert [Sgd(schedule="cosine").rate(step, 4) for step in range(4)] == pytest.approx(
        [1, 0.5 + 0.25 * 2**0.5, 0.5, 0.5 - 0.25 * 2**0.5]
    )
    assert {Sgd(schedule="constant").rate(step, 7) for step in range(7)} == {1.0}


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_factors_lie_between_nothing_and_one(schedule: str) -> None:
    for steps in (1, 2, 3, 1000):
        assert all(0 < AdamW(schedule=schedule).rate(step, steps) <= 1 for step in range(steps))


def test_optimizers() -> None:
    weights = [torch.nn.Parameter(torch.ones(2))]
    assert isinstance(AdamW().optimizer(weights), torch.optim.AdamW)
    sgd = Sgd().optimizer(weights)
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.param_groups[0]["nesterov"]
    # Nesterov without momentum is refused by torch; the plan must not ask for it.
    assert not Sgd(momentum=0.0).optimizer(weights).param_groups[0]["nesterov"]


def test_precision() -> None:
    cpu = torch.device("cpu")
    for name in PLANS:
        assert PLANS.build(name, precision="float32").dtype(cpu) == torch.float32
        assert PLANS.build(name, precision="bfloat16").dtype(cpu) == torch.bfloat16
        assert PLANS.build(name).dtype(cpu) == torch.float32


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"avx2": True}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
    ],
)
def test_processors_with_bfloat16(told: dict[str, object], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told)
    assert fast_bfloat16(torch.device("cpu")) is expected
    assert not fast_bfloat16(torch.device("meta"))


@pytest.mark.parametrize("name", list(PLANS))
def test_auto_is_float32_on_every_processor_and_what_the_gpu_can_on_a_gpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same spec must give the same result on a processor with bfloat16 and on one without."""
    for able in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able, raising=False)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able: able)
        assert PLANS.build(name).dtype(torch.device("cpu")) == torch.float32
        assert PLANS.build(name).dtype(torch.device("cuda")) == (torch.bfloat16 if able else torch.float32)
