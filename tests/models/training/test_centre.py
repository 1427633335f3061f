import numpy as np
import torch

from models import weights
from models.face.align import middle
from models.training import centre as module
from models.training.centre import about_their_mean, centre_of, centred
from models.training.student import fine_tuned


def inputs():
    return np.stack([middle(crop) for crop in weights.sample_crops()])


@torch.no_grad()
def test_the_centre_is_the_mean_over_the_faces_and_their_mirror_images():
    faces = inputs()
    plain = weights.load_encoder("sface")
    rows = []
    for face in faces:
        for view in (face, face[:, ::-1]):
            rows.append(plain(torch.from_numpy(view.copy())[None].permute(0, 3, 1, 2).float())[0].double().numpy())
    found = centre_of(fine_tuned(weights.load_encoder("sface")), faces)
    np.testing.assert_allclose(found.numpy(), np.mean(rows, axis=0), atol=2e-3)


@torch.no_grad()
def test_a_centred_encoder_says_the_same_less_the_centre():
    batch = torch.from_numpy(inputs()).permute(0, 3, 1, 2).float()
    centre = torch.linspace(-1, 1, 128)
    expected = fine_tuned(weights.load_encoder("sface"))(batch) - centre
    torch.testing.assert_close(
        centred(fine_tuned(weights.load_encoder("sface")), centre)(batch), expected, atol=1e-4, rtol=0
    )


def test_of_many_faces_some_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(module, "MOST_FACES", 4)
    faces, network = np.concatenate([inputs()] * 3), fine_tuned(weights.load_encoder("sface"))
    taken = faces[np.linspace(0, len(faces) - 1, 4).round().astype(int)]
    torch.testing.assert_close(centre_of(network, faces), centre_of(network, taken))


def test_rows_about_their_mean_are_of_unit_length_and_on_no_side():
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(400, 128)) + np.eye(128)[0] * 4
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    apart = about_their_mean(rows)
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), 1, atol=1e-5)
    assert np.abs(apart.mean(0)).max() < 0.02 < np.abs(rows.mean(0)).max()
