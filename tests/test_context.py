"""Streams of randomness, reports, cancellation, devices."""

import pytest
import torch

from ued_core.context import Context, pick_device
from ued_core.errors import Cancelled, Unavailable


def draw(ctx: Context, *name: object) -> list[float]:
    return torch.rand(4, generator=ctx.generator(*name)).tolist()


def test_streams_are_named_and_fresh() -> None:
    ctx = Context(seed=3)
    assert draw(ctx, "a") == draw(ctx, "a") == draw(Context(seed=3), "a")
    different = [
        draw(ctx, "a"),
        draw(ctx, "b"),
        draw(ctx, "a", 1),
        draw(ctx, "a", 2),
        draw(ctx),
        draw(Context(seed=4), "a"),
    ]
    assert len({tuple(values) for values in different}) == len(different)
    assert draw(ctx.with_seed(4), "a") == draw(Context(seed=4), "a")


def test_stream_seeds_stay_what_they_are() -> None:
    """Written down once: a change would change every stored result."""
    assert Context(seed=0).stream_seed("weights") == 133441691874178746
    assert Context(seed=7).stream_seed("train", 3) == 1707331500321738691
    assert all(0 <= Context(seed=s).stream_seed("x") < 2**63 for s in range(50))


def test_generators_live_on_the_wanted_device() -> None:
    assert Context().generator("a").device.type == "cpu"
    assert Context(device=torch.device("meta")).generator("a", device="cpu").device.type == "cpu"


def test_reports_carry_cancellation() -> None:
    seen: list[tuple[float, float, str]] = []
    ctx = Context(on_report=lambda *report: seen.append(report))
    ctx.report(1, 2, "half")
    ctx.report(2, 2)
    assert seen == [(1, 2, "half"), (2, 2, "")]
    stopped = Context(on_report=lambda *report: seen.append(report), stop=lambda: True)
    with pytest.raises(Cancelled):
        stopped.report(1, 2, "late")
    with pytest.raises(Cancelled):
        stopped.check()
    assert len(seen) == 2
    assert stopped.with_seed(9).stop()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == pick_device("cpu") == torch.device("cpu")
    for wanted in ("cuda", "cuda:1"):
        with pytest.raises(Unavailable, match=f"'{wanted}', but torch sees no GPU"):
            pick_device(wanted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")
