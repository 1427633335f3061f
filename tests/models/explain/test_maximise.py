import numpy as np
import pytest
import torch

from models import weights
from models.explain.maximise import maximised
from models.explain.patches import as_canvas
from models.explain.units import FaceUnits, PictureUnits
from models.style import perceptual


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shipped() -> PictureUnits:
    return PictureUnits(perceptual.shipped())


def test_what_is_made_for_a_colour_is_of_that_colour(colours) -> None:
    made = maximised(colours(), "sum", 1, steps=120).astype(float)
    assert made.shape == (4, 4, 3)
    red, green, blue = made.mean((0, 1))
    assert green > 180
    # Brightness comes first, as it does in photos; colour follows.
    assert green > max(red, blue) + 5


@pytest.mark.parametrize(("layer", "unit"), [("conv1_1", 10), ("conv2_1", 28), ("conv3_1", 234)])
def test_it_excites_its_unit_more_than_noise_does(shipped, layer, unit) -> None:
    field = shipped.fields[layer]

    def excitement(steps: int) -> float:
        made = maximised(shipped, layer, unit, steps=steps)
        assert made.shape == (field.reach, field.reach, 3)
        with torch.no_grad():
            wide = torch.nn.functional.pad(as_canvas(made), (8, 8, 8, 8), mode="replicate")
            return float(shipped(wide, [layer])[layer][0, unit].max())

    assert excitement(24) > 1.5 * excitement(0)


def test_the_same_seed_makes_the_same_and_another_one_another(shipped) -> None:
    first, again = (maximised(shipped, "conv2_1", 3, seed=7, steps=4) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, maximised(shipped, "conv2_1", 3, seed=8, steps=4))


def test_units_of_faces_are_maximised_alike_and_no_weight_changes() -> None:
    network = weights.load_encoder("sface")
    before = {name: one.clone() for name, one in network.state_dict().items()}
    units = FaceUnits(network)
    made = maximised(units, "trunk.4", 5, steps=4)
    assert made.shape == (units.fields["trunk.4"].reach,) * 2 + (3,)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert all(one.grad is None for one in network.parameters())
