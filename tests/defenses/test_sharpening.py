"""Sharpening and the frequency filter: by hand, and against scipy."""

import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.ndimage import correlate

from ued_core.defenses.sharpening import (
    FixedSharpening,
    FrequencyFilter,
    RandomSharpening,
    draw_sharpening,
    kept_count,
    low_pass,
    low_pass_matrix,
    sharpen,
)
from ued_core.errors import DataError
from ued_core.records import to_bytes, to_float


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


SSK = (torch.tensor([2.5]), torch.full((1, 4), 0.375))


def test_sharpen_by_hand():
    image = torch.tensor([[0.9, 0.2, 0.9], [0.3, 0.5, 0.4], [0.9, 0.6, 0.9]]).view(1, 1, 3, 3)
    # 2.5 · 0.5 − 0.375 · (0.2 + 0.3 + 0.4 + 0.6); corners do not count
    assert float(sharpen(image, *SSK)) == pytest.approx(1.25 - 0.5625)
    each = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    # up, left, right, down
    assert float(sharpen(image, SSK[0], each)) == pytest.approx(1.25 - 0.02 - 0.06 - 0.12 - 0.24)


def test_gain_of_the_kernel():
    """Constants keep their value; a checkerboard's contrast grows four times: 2.5 + 4 · 0.375."""
    flat = torch.full((2, 3, 8, 8), 0.3)
    assert torch.allclose(sharpen(flat, *SSK), torch.full((2, 3, 6, 6), 0.3), atol=1e-6)
    board = 0.5 + 0.1 * ((torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2 - 1).float().view(1, 1, 8, 8)
    assert torch.allclose(sharpen(board, *SSK) - 0.5, 4 * (board[..., 1:-1, 1:-1] - 0.5), atol=1e-6)


def test_sharpen_is_a_correlation_of_every_image_with_its_kernel():
    images = torch.rand(6, 3, 9, 7, dtype=torch.float64)
    centres, neighbours = (part.double() for part in draw_sharpening(6, 2.5, 0.5, rng()))
    made = sharpen(images, centres, neighbours)
    for n in range(6):
        kernel = torch.zeros(3, 3, dtype=torch.float64)
        kernel[1, 1] = centres[n]
        kernel[0, 1], kernel[1, 0], kernel[1, 2], kernel[2, 1] = -neighbours[n]
        for c in range(3):
            expected = correlate(images[n, c].numpy(), kernel.numpy())[1:-1, 1:-1].clip(0, 1)
            assert torch.allclose(made[n, c], torch.from_numpy(expected))


def test_law_of_the_random_kernels():
    centres, neighbours = draw_sharpening(40_000, 2.5, 0.1, rng())
    assert float(centres.mean()) == pytest.approx(2.5, abs=0.002)
    assert float(centres.std()) == pytest.approx(0.1, rel=0.02)
    around = neighbours - (centres[:, None] - 1) / 4
    assert float(around.mean()) == pytest.approx(0, abs=0.002)
    assert float(around.std()) == pytest.approx(0.1, rel=0.02)
    assert torch.corrcoef(torch.cat([around.T, centres[None]])).fill_diagonal_(0).abs().max() < 0.02
    sums = centres - neighbours.sum(1)
    assert float(sums.mean()) == pytest.approx(1, abs=0.005)
    assert float(sums.std()) == pytest.approx(0.2, rel=0.03), "only on average do they sum to one"


@pytest.mark.parametrize(
    ("share", "side", "kept"),
    [(0.3, 30, 9), (0.3, 32, 9), (0.29, 100, 29), (1.0, 30, 30), (0.05, 10, 1), (0.7, 30, 21)],
)
def test_kept_count(share, side, kept):
    assert kept_count(share, side) == kept


def test_filter_is_a_cut_of_the_cosine_transform():
    images = torch.rand(4, 3, 30, 20, dtype=torch.float64)
    made = low_pass(images, 0.3)
    spectrum = dctn(images.numpy(), axes=(2, 3), norm="ortho")
    spectrum[:, :, 9:] = 0
    spectrum[:, :, :, 6:] = 0
    expected = torch.from_numpy(idctn(spectrum, axes=(2, 3), norm="ortho")).clamp(0, 1)
    assert torch.allclose(made, expected, atol=1e-12)


def test_filter_is_a_projection():
    part = low_pass_matrix(32, 9)
    assert torch.allclose(part @ part, part, atol=1e-12)
    assert float(part.trace()) == pytest.approx(9)
    assert torch.allclose(low_pass_matrix(17, 17), torch.eye(17, dtype=torch.float64), atol=1e-12)
    for value in (0.0, 0.3, 1.0):
        flat = torch.full((1, 3, 12, 9), value)
        assert torch.allclose(low_pass(flat, 0.3), flat, atol=1e-6)


def test_frequency_filter_keeps_everything_at_one():
    images = to_bytes(torch.rand(10, 3, 12, 9))
    assert torch.equal(FrequencyFilter(kept=1.0).transform(images), images)
    assert not torch.equal(FrequencyFilter().transform(images), images)


def test_random_without_spread_is_fixed():
    images = to_bytes(torch.rand(5, 3, 16, 12))
    for border in ("black", "reflect"):
        fixed = FixedSharpening(border=border).transform(images)
        random = RandomSharpening(spread=0.0, border=border).augment(to_float(images), rng())
        assert torch.equal(to_bytes(random), fixed)


def test_borders():
    flat = torch.full((1, 3, 10, 8), 100, dtype=torch.uint8)
    black = FixedSharpening().transform(flat)
    assert black[..., 1:-1, 1:-1].unique().tolist() == [100]
    assert int(black.int().sum()) == 3 * 8 * 6 * 100, "the frame is black"
    assert torch.equal(FixedSharpening(border="reflect").transform(flat), flat)
    with pytest.raises(DataError, match="at least 3×3"):
        FixedSharpening().transform(flat[..., :2, :])


def test_channels_share_the_kernel():
    grey = torch.rand(4, 1, 10, 10).expand(-1, 3, -1, -1)
    made = RandomSharpening().augment(grey, rng())
    assert torch.allclose(made[:, 0], made[:, 2], atol=1e-6)
    one = RandomSharpening(kept=1.0).augment(grey[:1].expand(4, -1, -1, -1), rng())
    assert not torch.allclose(one[0], one[1], atol=1e-3), "another kernel for every image"
