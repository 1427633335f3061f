"""The engine for eight bits computes what the weights mean, for any number of callers, and tells nobody."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from models import weights
from models.errors import EngineMissing
from models.face import int8
from models.face.align import middle
from models.face.encode import LEAST_COSINE_INT8, FaceEncoder, choose_precision, open_encoder
from models.quantised import exactly

NAME = "onelook-int8"
needs_engine = pytest.mark.skipif(find_spec("openvino") is None, reason="OPENVINO IS NOT INSTALLED: the extra int8")


def seen() -> torch.Tensor:
    return torch.from_numpy(np.stack([middle(crop) for crop in weights.sample_crops()])).permute(0, 3, 1, 2)


@needs_engine
def test_the_engine_says_what_exact_arithmetic_says() -> None:
    layers = weights.load(NAME)
    assert isinstance(layers, tuple)
    found, expected = int8.compiled(layers)(seen()), exactly(layers, seen())
    cosines = torch.nn.functional.cosine_similarity(found, expected)
    assert cosines.min() > LEAST_COSINE_INT8


@needs_engine
def test_a_face_in_eight_bits_is_nearly_what_it_is_in_float() -> None:
    crops = weights.sample_crops()
    coarse = open_encoder(NAME, precision=torch.int8, flip=True).encode(crops)
    exact = open_encoder("onelook", precision=torch.float32, flip=True).encode(crops)
    assert ((coarse * exact).sum(1) > 0.985).all()
    np.testing.assert_allclose((coarse**2).sum(1), 1, atol=1e-5)


@needs_engine
def test_many_callers_at_once_each_get_their_own_answer() -> None:
    encoder = FaceEncoder(weights.load(NAME), precision=torch.int8)
    crops = weights.sample_crops()
    alone = [encoder.encode([crop]) for crop in crops]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: encoder.encode([crops[number % len(crops)]]), range(64)))
    for number, row in enumerate(together):
        np.testing.assert_allclose(row, alone[number % len(crops)], atol=1e-5)


@needs_engine
def test_weights_in_eight_bits_run_in_those_whatever_precision_is_wanted() -> None:
    for wanted in ("auto", "float32", "bfloat16"):
        chosen = choose_precision(lambda: weights.load(NAME), weights.sample_crops(), wanted=wanted)
        assert chosen.name == "int8"
        assert "eight bits" in chosen.why


@needs_engine
def test_the_engine_is_loaded_without_what_reports_on_its_users() -> None:
    int8._openvino()
    assert sys.modules.get(int8.REPORTS, "loaded") is None


def test_without_the_engine_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineMissing, match=r"onelook\[int8\]"):
        open_encoder(NAME, precision=torch.int8)
    assert open_encoder("onelook", precision=torch.float32).encode(weights.sample_crops()[:1]).shape == (1, 128)
