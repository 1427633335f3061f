import pytest
import torch

from models.style.colour import LUMA, matched, with_brightness_of


def moments(picture):
    rows = picture[0].flatten(1).double()
    return rows.mean(1), torch.cov(rows)


def test_mean_and_covariance_become_those_of_the_other(canvas):
    picture, like = canvas(40, 50, seed=1).float(), 0.5 * canvas(30, 20, seed=2).float() + 40
    like[:, 0] += 0.7 * like[:, 1]
    found = matched(picture, like)
    assert found.dtype == torch.float32
    assert found.shape == picture.shape
    for ours, theirs in zip(moments(found), moments(like), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)


def test_a_picture_matched_to_itself_stays(canvas):
    picture = canvas(40, 50).float()
    torch.testing.assert_close(matched(picture, picture), picture, rtol=1e-4, atol=1e-2)


def test_a_picture_of_one_colour_takes_the_mean_and_stays_finite(canvas):
    flat, like = torch.full((1, 3, 20, 20), 90.0), canvas(20, 20).float()
    found = matched(flat, like)
    torch.testing.assert_close(found[0, :, 3, 3].double(), moments(like)[0], rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(moments(matched(like, flat))[0], torch.full((3,), 90.0).double(), rtol=1e-3, atol=0.1)


def test_the_map_is_monotone(canvas):
    """It moves every colour along with its neighbours: a symmetric positive map, none that turns colours round."""
    picture, like = canvas(40, 50, seed=1).float(), canvas(40, 50, seed=2).float().flip(1)
    moved = matched(picture, like)
    steps = (picture - picture.mean((2, 3), keepdim=True))[0].flatten(1)
    results = (moved - moved.mean((2, 3), keepdim=True))[0].flatten(1)
    assert float((steps * results).sum(0).min()) > 0


def test_the_brightness_is_the_pictures_and_the_chroma_is_the_colours(canvas):
    colours, picture = canvas(10, 12, seed=1).float(), canvas(10, 12, seed=2).float()
    found = with_brightness_of(colours, picture)
    luma = torch.tensor(LUMA)[:, None, None]
    torch.testing.assert_close((found * luma).sum(1), (picture * luma).sum(1))
    torch.testing.assert_close(found[:, 0] - found[:, 1], colours[:, 0] - colours[:, 1], atol=1e-3, rtol=0)
    torch.testing.assert_close(found[:, 2] - found[:, 1], colours[:, 2] - colours[:, 1], atol=1e-3, rtol=0)
    assert sum(LUMA) == pytest.approx(1.0)
