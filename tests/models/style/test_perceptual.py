import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.errors import WeightsError
from models.image import decode
from models.style import perceptual
from models.style.vgg19 import LAYERS
from models.weights import FOLDER, PERCEPTUAL

SHIPPED = FOLDER / f"{PERCEPTUAL}.safetensors"


def state_of(network):
    return {
        f"{name}.{part}": getattr(network.convolutions[name], part).clone().contiguous()
        for name in LAYERS
        for part in ("weight", "bias")
    }


@pytest.fixture(scope="module")
def picture(canvas):
    return canvas(32, 32).float()


def test_the_shipped_network_knows_its_activations():
    with safe_open(SHIPPED, "pt") as file:
        known = json.loads(file.metadata()[perceptual.KNOWN])
    assert perceptual.known_activations(perceptual.shipped()) == pytest.approx(known, rel=1e-3)
    assert list(known) == list(LAYERS)
    assert min(known.values()) > 0


def test_the_shipped_network_is_read_once_and_knows_its_file():
    assert perceptual.shipped() is perceptual.shipped()
    assert perceptual.shipped().digest == perceptual.digest(SHIPPED)
    assert sorted(perceptual.shipped().mean_activations) == sorted(LAYERS)


@pytest.mark.parametrize("damage", ["cut short", "no file of its kind", "another filter", "no known activations"])
def test_a_damaged_shipped_file_is_refused(tmp_path, monkeypatch, damage):
    path = tmp_path / SHIPPED.name
    if damage == "cut short":
        path.write_bytes(SHIPPED.read_bytes()[:1_000_000])
    elif damage == "no file of its kind":
        path.write_bytes(b"\0" * 100)
    else:
        tensors = load_file(SHIPPED)
        with safe_open(SHIPPED, "pt") as file:
            header = file.metadata()
        if damage == "another filter":
            tensors["conv3_1.bias"] = tensors["conv3_1.bias"] + 5.0
        save_file(tensors, path, header if damage == "another filter" else None)
    monkeypatch.setattr(perceptual, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"vgg19\.safetensors"):
        perceptual.shipped.__wrapped__()


def test_a_shipped_file_that_is_not_there_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(perceptual, "FOLDER", tmp_path)
    with pytest.raises(WeightsError):
        perceptual.shipped.__wrapped__()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_of_ones_own_is_read_whatever_its_kind(tmp_path, random_network, picture, suffix):
    path = tmp_path / f"own{suffix}"
    state = state_of(random_network)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    own = perceptual.of_file(path)
    assert own.digest == perceptual.digest(path)
    assert torch.equal(own(picture, ["conv4_2"])["conv4_2"], random_network(picture, ["conv4_2"])["conv4_2"])


def test_the_shipped_file_may_be_given_as_ones_own(picture):
    own = perceptual.of_file(SHIPPED)
    assert torch.equal(own(picture, ["conv5_1"])["conv5_1"], perceptual.shipped()(picture, ["conv5_1"])["conv5_1"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.pt", b"no pickle"),
        ("own.safetensors", b"no tensors"),
        ("own.pt", b""),
        ("missing.pt", None),
        ("missing.safetensors", None),
    ],
)
def test_a_file_that_is_no_weights_is_refused_by_its_name(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name.split(".")[0]):
        perceptual.of_file(tmp_path / name)


def test_a_pickle_of_something_else_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="state dict"):
        perceptual.of_file(tmp_path / "list.pt")


def test_a_file_in_the_shipped_form_with_parts_missing_is_refused(tmp_path):
    tensors = load_file(SHIPPED)
    del tensors["conv4_2.values"]
    save_file(tensors, tmp_path / "own.safetensors")
    with pytest.raises(WeightsError):
        perceptual.of_file(tmp_path / "own.safetensors")


def test_random_filters_are_labelled_so_and_their_seed_makes_them(random_network, picture):
    assert random_network.digest == "random-0"
    again, other = perceptual.random(0), perceptual.random(1)
    assert other.digest == "random-1"
    kept, same, changed = (n(picture, ["conv3_1"])["conv3_1"] for n in (random_network, again, other))
    assert torch.equal(kept, same)
    assert not torch.equal(kept, changed)


def test_random_activations_neither_vanish_nor_explode(random_network, picture):
    means = [float(layer.mean()) for layer in random_network(picture, LAYERS).values()]
    assert max(means) < 100 * min(means)


def test_the_normalised_networks_filters_answer_one_on_average(samples):
    photos = [
        torch.from_numpy(decode(path.read_bytes())[:96, :96].copy()).permute(2, 0, 1)[None].float()
        for path in sorted(samples.glob("*.jpg"))
    ]
    shipped = perceptual.shipped()

    def means(network):
        found = [network(photo, LAYERS) for photo in photos]
        return {name: torch.stack([layer[name].mean((0, 2, 3)) for layer in found]).mean(0) for name in LAYERS}

    own = means(shipped)
    normalised = perceptual.normalised(shipped, own)
    assert normalised.digest == f"{shipped.digest}-normalised"
    for name, answers in means(normalised).items():
        lively = own[name] >= perceptual.FLOOR * own[name].mean()
        torch.testing.assert_close(answers[lively], torch.ones_like(answers[lively]), rtol=2e-3, atol=2e-3)
        assert float(answers.max()) < 1.01  # what hardly ever answers is not made loud
        floor = perceptual.FLOOR * own[name].mean()
        torch.testing.assert_close(answers[~lively], own[name][~lively] / floor, rtol=1e-2, atol=1e-3)


def test_a_normalised_activation_is_the_plain_one_divided_by_its_mean(picture):
    shipped = perceptual.shipped()
    normalised = perceptual.normalised(shipped, shipped.mean_activations)
    own = shipped(picture, LAYERS)
    for name, layer in normalised(picture, LAYERS).items():
        mean = shipped.mean_activations[name]
        divided = own[name] / mean.clamp(min=perceptual.FLOOR * float(mean.mean()))[:, None, None]
        torch.testing.assert_close(layer, divided, rtol=1e-3, atol=1e-4 * float(divided.max()))
