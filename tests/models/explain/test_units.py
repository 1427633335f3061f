"""What a unit sees is held to what changes it: gradients on the real networks."""

import pytest
import torch

from models import weights
from models.explain.units import FaceUnits, Field, PictureUnits, parsed_unit
from models.style import perceptual
from models.style.vgg19 import LAYERS, reach, stride


@pytest.fixture(scope="module")
def pictures_units() -> PictureUnits:
    return PictureUnits(perceptual.random())


@pytest.fixture(scope="module")
def face_units() -> FaceUnits:
    return FaceUnits(weights.load_encoder("sface"))


def seen_by(units, layer, position, side):
    """(first row, one after the last row) of the pixels that change any unit of the layer there."""
    leaf = (255 * torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3))).requires_grad_()
    units(leaf, [layer])[layer][0, :, position, position].sum().backward()
    rows = leaf.grad[0].abs().sum((0, 2)).nonzero()
    return int(rows.min()), int(rows.max()) + 1


def test_fields_of_vgg19_are_those_that_style_transfer_goes_by(pictures_units) -> None:
    for layer in LAYERS:
        assert pictures_units.fields[layer].reach == reach(layer)
        assert pictures_units.fields[layer].stride == stride(layer)


@pytest.mark.parametrize(("layer", "position"), [("conv1_1", 10), ("conv2_1", 7), ("conv3_1", 6)])
def test_a_unit_of_vgg19_sees_its_field_and_nothing_else(pictures_units, layer, position) -> None:
    first, last = pictures_units.fields[layer].seen(position)
    begin, end = seen_by(pictures_units, layer, position, 64)
    # Of a maximum only one of the pixels counts, so that the outermost may not.
    slack = pictures_units.fields[layer].stride - 1
    assert 0 <= begin - first <= slack
    assert 0 <= last - end <= slack


@pytest.mark.parametrize(("layer", "position"), [("trunk.0", 10), ("trunk.4", 12), ("trunk.8", 9)])
def test_a_unit_of_the_face_encoder_sees_its_field_and_nothing_else(face_units, layer, position) -> None:
    assert face_units.fields[layer].seen(position) == seen_by(face_units, layer, position, 112)


def test_the_trunk_looked_at_is_the_encoder_that_encodes(face_units) -> None:
    network, crop = weights.load_encoder("sface"), torch.rand(1, 3, 112, 112) * 255
    heard = []
    hook = network.trunk[8].register_forward_hook(lambda module, taken, given: heard.append(given))
    with torch.no_grad():
        network(crop)
        found = face_units(crop, ["trunk.8", "trunk.0"])
    hook.remove()
    assert set(found) == {"trunk.8", "trunk.0"}
    torch.testing.assert_close(found["trunk.8"], heard[0])
    assert face_units.count("trunk.8") == heard[0].shape[1]


def test_a_field_grows_with_width_and_stride_and_begins_where_padding_does() -> None:
    field = Field().after(3, padding=1).after(2, stride=2).after(3, padding=1)
    assert field == Field(reach=8, stride=2, start=-3)
    assert field.seen(5) == (7, 15)


@pytest.mark.parametrize("text", ["conv9_1:3", "conv3_1", "conv3_1:256", "conv3_1:-1", "conv3_1:²"])
def test_a_text_that_names_no_unit_is_told_what_there_is(pictures_units, text: str) -> None:
    with pytest.raises(ValueError, match=r"conv1_1 to conv5_4|conv3_1:0 to conv3_1:255"):
        parsed_unit(text, pictures_units)
    assert parsed_unit("conv3_1:255", pictures_units) == ("conv3_1", 255)
