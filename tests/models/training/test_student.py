import numpy as np
import pytest
import torch

from models import weights
from models.encoder import Encoder
from models.face.align import middle
from models.training.blend import blended
from models.training.student import FixedSlope, fine_tuned, shipped_form


@pytest.fixture(scope="module")
def crops():
    pixels = np.stack([middle(crop) for crop in weights.sample_crops()[:4]])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def loaded(state):
    network = Encoder()
    network.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def test_the_form_that_is_trained_and_the_form_that_is_shipped_say_the_same(crops):
    published = weights.load_encoder("sface")(crops)
    student = fine_tuned(weights.load_encoder("sface"))
    assert torch.allclose(student(crops), published, atol=2e-3)
    assert torch.allclose(loaded(shipped_form(student))(crops), published, atol=2e-3)


def test_fixed_slopes_give_what_prelu_gives_forward_and_back():
    chance = torch.Generator().manual_seed(0)
    slopes = torch.rand(3, generator=chance, dtype=torch.float64)
    x = torch.randn((2, 3, 4, 4), generator=chance, dtype=torch.float64, requires_grad=True)
    layer = FixedSlope(slopes)
    assert torch.equal(layer(x), torch.prelu(x, slopes))
    assert torch.autograd.gradcheck(layer, (x,))


def test_everything_but_the_slopes_learns(crops):
    student = fine_tuned(weights.load_encoder("sface"))
    student(crops[:2]).square().mean().backward()
    missing = [name for name, parameter in student.named_parameters() if parameter.grad is None]
    assert missing == []
    assert not any("slope" in name for name, _ in student.named_parameters())


@torch.no_grad()
def test_a_blend_begins_at_one_end_and_ends_at_the_other(crops):
    first = weights.load_encoder("sface")
    second = loaded(shipped_form(fine_tuned(weights.load_encoder("sface"))))
    for parameter in second.project.parameters():
        parameter.mul_(1.5)
    for share, wanted in ((0.0, first(crops)), (1.0, second(crops))):
        assert torch.allclose(loaded(blended(first, second, share))(crops), wanted, atol=3e-3)
    middle = loaded(blended(first, second, 0.5))(crops)
    assert torch.allclose(middle, (first(crops) + second(crops)) / 2, atol=3e-3)


def test_encoders_that_do_not_stem_from_each_other_are_not_blended():
    with pytest.raises(ValueError, match="slopes differ"):
        blended(weights.load_encoder("sface"), Encoder().eval(), 0.5)
