"""docs/textbook.md, shown on the real library: one test a question, by its number."""

import copy
import inspect
import math
import re
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from app.actions.enroll import Enrolment
from app.actions.identify import Question
from app.actions.verify import Asked
from app.cli import app
from app.cli.home import open_desk
from app.domain.decision import Match, NotRecognized, Recognized
from app.index.compressed import CompressedIndex
from app.index.exact import ExactIndex
from app.index.packed import Packing
from app.settings import Settings
from models import weights
from models.explain.units import STYLE_LAYERS
from models.face.align import middle
from models.metric.distance import squared_distances
from models.metric.sampling import PeopleBatches
from models.metric.siamese import DifferenceHead, siamese_loss
from models.metric.triplet import triplet_loss
from models.style import perceptual
from models.style import plan as planning
from models.style.gram import gram_sum
from models.style.objective import Objective, Style, Terms
from models.style.options import Options
from models.style.tiles import mean_grams
from models.style.vgg19 import LAYERS, Vgg19, reach, stride
from models.training.split import is_for_validation

ROW = re.compile(r"^\| (\d+) \| .+\? \| .+\. \|$", re.MULTILINE)
ALPHA, BETA = 2.0, 500.0


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def photos(samples: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in samples.glob("*.jpg")}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The service's actions on a home of its own, where Hopper and Collins are enrolled."""
    samples = Path(__file__).parents[2] / "samples"
    with open_desk(Settings(home=tmp_path_factory.mktemp("home") / "onelook", precision="float32")) as made:
        for name in ("hopper", "collins"):
            made.enroll((samples / f"{name}.jpg").read_bytes(), Enrolment(name, person_id=name))
        yield made


@pytest.fixture
def obama(desk, photos) -> Iterator[str]:
    """Somebody who joins, and has left afterwards."""
    joined = desk.enroll(photos["obama-2009"], Enrolment("Obama")).person.id
    yield joined
    desk.erase(joined)


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return weights.load_encoder("sface")


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """Aligned faces of the sample, float32 (n, 3, 112, 112)."""
    shown = [middle(crop) for crop in weights.sample_crops()[:4]]
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def files() -> tuple[bytes, bytes]:
    """A content and a style of 64 pixels."""
    return _file("collins", 64), _file("hopper", 48)


@pytest.fixture(scope="module")
def steps(files) -> list[tuple[planning.Progress, np.ndarray]]:
    """Every step of one render, with its picture."""
    options = Options.of({"steps": 5, "alpha": ALPHA, "beta": BETA, "layers": {"conv1_1": 0.5, "conv3_1": 0.5}})
    found = planning.plan(files[0], [files[1]], options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "fastest", lambda device: "float32")
        return [(one, np.asarray(Image.open(BytesIO(one.preview()[0]))).astype(int)) for one in found.render()]


def test_docs_and_tests_have_the_same_twenty(root):
    told = [int(number) for number in ROW.findall((root / "docs" / "textbook.md").read_text(encoding="utf-8"))]
    shown = [int(found[1]) for name in globals() if (found := re.match(r"test_(\d\d)_", name))]
    assert told == shown == list(range(1, 21))


def test_01_verification_compares_with_one_person_and_recognition_with_all(desk, obama, photos):
    probe = photos["obama-2012"]
    assert isinstance(desk.verify_person(probe, obama, Asked()).answer, Match)
    assert not isinstance(desk.verify_person(probe, "hopper", Asked()).answer, Match)
    found = desk.identify(probe, Question(top_k=20))
    assert found.persons == len(found.answers[0].candidates) == 3
    assert found.answers[0].decision.candidate.person.id == obama


def test_02_somebody_new_needs_a_row_and_no_new_network(desk, photos):
    model, file = desk.reader.model_id, weights.file_of(desk.settings.model).read_bytes()
    assert isinstance(_decision(desk, photos["obama-2012"]), NotRecognized)
    desk.enroll(photos["obama-2009"], Enrolment("Obama", person_id="somebody-new"))
    assert isinstance(_decision(desk, photos["obama-2012"]), Recognized)
    assert desk.reader.model_id == model
    assert weights.file_of(desk.settings.model).read_bytes() == file
    desk.erase("somebody-new")


def test_03_a_hundred_thousand_people_with_one_photo_each_have_no_positive():
    with pytest.raises(ValueError, match="0 people have two photos or more"):
        PeopleBatches(np.arange(100_000), people=2, photos=2)
    assert len(next(PeopleBatches([0, 0, 1, 1], people=2, photos=2).epoch(np.random.default_rng(0)))) == 4


def test_04_the_triplet_loss_is_the_formula():
    chance = np.random.default_rng(4)
    a, p, n = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in chance.normal(size=(3, 50, 8)))
    costs = np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.2, 0)
    distances = squared_distances(torch.from_numpy(np.concatenate((a, p, n))))
    i = torch.arange(50)
    assert 0 < np.count_nonzero(costs) < 50
    assert float(triplet_loss(distances[i, i + 50], distances[i, i + 100], 0.2)) == pytest.approx(costs.mean())


def test_05_both_branches_take_their_own_picture_through_the_same_parameters(encoder, crops):
    with torch.no_grad():
        first, second = encoder(crops[:1]), encoder(crops[1:2])
        swapped, together = (encoder(crops[1:2]), encoder(crops[:1])), encoder(crops[:2])
    assert not torch.allclose(first, second, atol=0.1)
    assert torch.equal(first, swapped[1])
    assert torch.equal(second, swapped[0])
    torch.testing.assert_close(together, torch.cat((first, second)), rtol=1e-3, atol=1e-3)


def test_06_a_deep_unit_sees_the_whole_of_a_thing_and_a_shallow_one_a_few_pixels():
    assert all(reach(before) < reach(after) for before, after in pairwise(LAYERS))
    network, chance = perceptual.shipped(), torch.Generator().manual_seed(6)
    picture = 255 * torch.rand(1, 3, 192, 192, generator=chance)
    seen = {}
    for layer in ("conv1_1", "conv3_1", "conv5_1"):
        leaf = picture.clone().requires_grad_()
        middle_ = 96 // stride(layer)
        network(leaf, [layer])[layer][0, :, middle_, middle_].sum().backward()
        rows = leaf.grad[0].abs().sum((0, 2)).nonzero()
        seen[layer] = int(rows.max() - rows.min()) + 1
    assert seen["conv1_1"] == reach("conv1_1") == 3
    assert seen["conv1_1"] < seen["conv3_1"] < seen["conv5_1"] <= reach("conv5_1") == 156
    assert seen["conv5_1"] > 100
    # A photo in shuffled pieces has the edges and colours that it had, and nothing that is larger than a piece.
    whole = _canvas("collins", 192)
    kept = _agreement(network, whole, _shuffled(whole, 16))
    assert all(shallow > deep for shallow, deep in pairwise(kept.values()))
    assert kept["conv1_1"] > 0.95
    assert kept["conv5_1"] < 0.6


def test_07_style_transfer_takes_pictures_and_no_label(steps):
    taken = set(inspect.signature(planning.plan).parameters)
    assert taken == {"content", "styles", "options", "limits", "weights"}
    assert steps[-1][0].losses.total < steps[0][0].losses.total


def test_08_the_style_matrix_says_which_channels_go_together():
    here, there = torch.zeros(2, 6, 6)
    here[:3], there[3:] = 1.0, 1.0
    gram = gram_sum(torch.stack((here, 2 * here, there))[None])
    assert gram[0, 1] == 2 * here.sum()
    assert gram[0, 2] == gram[1, 2] == 0
    assert torch.equal(gram, gram.T)


def test_09_every_step_changes_the_pixels(steps):
    assert len(steps) == 5
    assert all((after != before).any() for (_, before), (_, after) in pairwise(steps))


def test_10_thirty_two_filters_of_three_over_a_volume_of_sixteen_channels():
    said = _told("conv-shapes 32x32x32x16 --filters 32 --width 3")
    assert said.startswith("32x32x32x16 -> 30x30x30x32\n")
    with torch.no_grad():
        assert nn.Conv3d(16, 32, 3)(torch.zeros(1, 16, 32, 32, 32)).shape == (1, 32, 30, 30, 30)


def test_11_sixteen_filters_of_four_with_stride_two_over_a_volume_of_three_channels():
    said = _told("conv-shapes 64x64x64x3 --filters 16 --width 4 --stride 2")
    assert said.startswith("64x64x64x3 -> 31x31x31x16\n")
    with torch.no_grad():
        assert nn.Conv3d(3, 16, 4, stride=2)(torch.zeros(1, 3, 64, 64, 64)).shape == (1, 16, 31, 31, 31)


def test_12_the_gradient_is_with_respect_to_the_picture_through_a_frozen_network():
    objective, canvas = _objective()
    losses, gradient = objective(canvas)
    assert gradient.shape == canvas.shape
    way = gradient / gradient.norm()
    ahead, behind = (objective(canvas + step * way)[0].total for step in (1e-3, -1e-3))
    assert (ahead - behind) / 2e-3 == pytest.approx(float(gradient.norm()), rel=1e-3)
    assert losses.total > 0
    assert not any(one.requires_grad or one.grad is not None for one in objective.network.parameters())


def test_13_the_cost_is_that_of_content_and_of_style_weighed_by_alpha_and_beta(steps):
    # At the last of the scales beta is taken literally; this small render has one scale.
    for progress, _ in steps:
        losses = progress.losses
        assert losses.total == pytest.approx(ALPHA * losses.content + BETA * losses.style, rel=1e-5)
        assert losses.style == pytest.approx(sum(losses.per_layer.values()), rel=1e-5)


def test_14_the_triplet_loss_is_large_far_from_the_positive_or_near_the_negative():
    def loss(to_positive: float, to_negative: float) -> float:
        return float(triplet_loss(torch.tensor([to_positive]), torch.tensor([to_negative]), 0.2))

    assert loss(0.1, 1.5) == 0
    assert loss(1.8, 1.5) == pytest.approx(0.5)
    assert loss(0.1, 0.0) == pytest.approx(0.3)
    assert loss(1.8, 0.0) == pytest.approx(2.0)


def test_15_members_come_and_go_as_rows_and_the_network_stays(desk, photos):
    model, begun = desk.reader.model_id, _members(desk)
    desk.enroll(photos["obama-2009"], Enrolment("Obama", person_id="joins"))
    assert _members(desk) == begun | {"joins"}
    desk.erase("joins")
    assert _members(desk) == begun
    assert isinstance(_decision(desk, photos["obama-2012"]), NotRecognized)
    assert isinstance(_decision(desk, photos["collins"]), Recognized)
    assert desk.reader.model_id == model


def test_16_the_index_compares_with_a_few_and_answers_as_if_with_all():
    chance = np.random.default_rng(16)
    rows = chance.normal(size=(3000, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    packing = Packing(bound=1000, least=200, share=1 / 20)
    quick, all_of_them = CompressedIndex(packing=packing, start=lambda build: build()), ExactIndex()
    names = [f"t{n}" for n in range(len(rows))]
    for index in (quick, all_of_them):
        index.add(names, rows)
    assert quick.packed
    assert packing.proposed(1, len(rows)) <= len(rows) / 10
    probes = rows[::100] + 0.05 * chance.normal(size=(30, 128)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    for probe in probes:
        (found,), (true,) = quick.search(probe, 1), all_of_them.search(probe, 1)
        assert found.template_id == true.template_id
        assert math.isclose(found.similarity, true.similarity, abs_tol=1e-5)


def test_17_training_photos_are_of_other_people_than_those_recognised(desk, obama, photos):
    people = [f"person {n}" for n in range(1000)]
    trained = {name for name in people if not is_for_validation(name)}
    looked_at = {name for name in people if is_for_validation(name)}
    assert trained | looked_at == set(people)
    assert not trained & looked_at
    assert 200 < len(looked_at) < 400
    # Two photos taken years apart, a single one enrolled: nothing was trained in between.
    assert _decision(desk, photos["obama-2012"]).candidate.person.id == obama


def test_18_upper_and_lower_network_are_one_module_called_twice(encoder, crops):
    network, head = copy.deepcopy(encoder).eval(), DifferenceHead()
    last = network.project.weight

    def gradient(upper: torch.Tensor, lower: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.autograd.grad(siamese_loss(head(upper, lower), torch.tensor([False])), last)[0]
        return found

    def embedded(crop: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(network(crop))

    both = gradient(embedded(crops[:1]), embedded(crops[1:2]))
    upper = gradient(embedded(crops[:1]), embedded(crops[1:2]).detach())
    lower = gradient(embedded(crops[:1]).detach(), embedded(crops[1:2]))
    assert upper.abs().sum() > 0
    assert lower.abs().sum() > 0
    torch.testing.assert_close(both, upper + lower)


def test_19_pixels_are_optimised_and_weights_are_not(files):
    network = perceptual.shipped()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    found = planning.plan(files[0], [files[1]], Options.of({"steps": 1, "layers": {"conv2_1": 1.0}}))
    (only,) = found.render()
    assert (np.asarray(Image.open(BytesIO(only.result().content))) != _pixels(files[0])).any()
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())
    assert all(one.grad is None and not one.requires_grad for one in network.parameters())


def test_20_deep_style_matrices_say_how_detectors_go_together_wherever_that_is():
    canvas = _canvas("collins", 96)
    layer = perceptual.shipped()(canvas, ["conv5_1"])["conv5_1"]
    gram = gram_sum(layer)
    active = layer[0].flatten(1)
    i, k = (int(one) for one in active.sum(1).topk(2).indices)
    assert float(gram[i, k]) == pytest.approx(float((active[i] * active[k]).sum()), rel=1e-4)
    elsewhere = active[:, torch.randperm(active.shape[1], generator=torch.Generator().manual_seed(20))]
    torch.testing.assert_close(gram_sum(elsewhere.reshape(layer.shape)), gram, rtol=1e-4, atol=1.0)


def _members(desk) -> set[str]:
    return {placed.person.id for placed in desk.list_people(after=None, limit=100)}


def _decision(desk, image: bytes):
    return desk.identify(image, Question()).answers[0].decision


def _told(words: str) -> str:
    return CliRunner().invoke(app, words.split()).output


def _file(name: str, side: int) -> bytes:
    out = BytesIO()
    with Image.open(Path(__file__).parents[2] / "samples" / f"{name}.jpg") as picture:
        picture.convert("RGB").resize((side, side)).save(out, "PNG")
    return out.getvalue()


def _pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"))


def _canvas(name: str, side: int) -> torch.Tensor:
    return torch.from_numpy(_pixels(_file(name, side)).copy()).permute(2, 0, 1)[None].float()


def _shuffled(canvas: torch.Tensor, piece: int) -> torch.Tensor:
    """The same squares of `piece` pixels in another order."""
    _, channels, height, width = canvas.shape
    cut = canvas.reshape(channels, height // piece, piece, width // piece, piece).permute(1, 3, 0, 2, 4).flatten(0, 1)
    mixed = cut[torch.randperm(len(cut), generator=torch.Generator().manual_seed(6))]
    rows = mixed.reshape(height // piece, width // piece, channels, piece, piece)
    return rows.permute(2, 0, 3, 1, 4).reshape(canvas.shape)


def _agreement(network: Vgg19, first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """Layer -> the correlation of its units' strongest answers to both."""
    peaks = [
        {name: one.amax((0, 2, 3)) for name, one in network(canvas, STYLE_LAYERS).items()} for canvas in (first, second)
    ]
    return {name: float(torch.corrcoef(torch.stack([one[name] for one in peaks]))[0, 1]) for name in STYLE_LAYERS}


def _objective() -> tuple[Objective, torch.Tensor]:
    """A cost in float64, so that small steps of the picture can be told from rounding."""
    network = copy.deepcopy(perceptual.shipped()).double()
    content, style = _canvas("collins", 32).double(), _canvas("hopper", 32).double()
    terms = Terms(ALPHA, BETA, {"conv1_1": 0.5, "conv2_1": 0.5}, "conv2_1")
    with torch.no_grad():
        wanted = network(content, ["conv2_1"])["conv2_1"]
    generator = torch.Generator().manual_seed(12)
    canvas = content + 10 * torch.randn(content.shape, generator=generator, dtype=torch.float64)
    return Objective(network, wanted, [Style(mean_grams(network, style, list(terms.layers)))], terms), canvas
