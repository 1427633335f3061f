"""The command that writes an encoder in eight bits."""

import json

import torch
from safetensors import safe_open

from models import weights
from models.quantised import exactly


def test_an_encoder_in_eight_bits_is_written_and_says_of_which_and_how(onelook, people, tmp_path):
    out = tmp_path / "small.safetensors"
    done = onelook("quantise", "sface", "--data", people, "--out", out, "--faces", 2, "--terms", "tried here")
    assert done.exit_code == 0, done.output
    assert str(out) in done.output
    assert weights.terms(out) == "tried here"
    assert not weights.refines(out)
    with safe_open(out, "pt") as file:
        made_by = json.loads(file.metadata()["made_by"])
    assert made_by == {"of": weights.model_id("sface"), "faces": 4, "people": 2, "seed": 1}
    assert bool(exactly(weights.load(out), _grey()).isfinite().all())


def test_what_cannot_be_made_is_refused_in_a_sentence(onelook, people, tmp_path):
    (tmp_path / "nobody").mkdir()
    for words, why in (
        (("sface", "--data", tmp_path / "nobody"), "no photos"),
        (("sface", "--data", people, "--out", tmp_path / "small.bin"), "end with .safetensors"),
        (("onelook-int8", "--data", people, "--out", tmp_path / "again.safetensors", "--faces", 1), "in eight bits"),
    ):
        refused = onelook("quantise", *words)
        assert refused.exit_code != 0
        assert why in " ".join(refused.output.replace("│", " ").split())


def _grey():
    return torch.full((1, 3, 112, 112), 128, dtype=torch.uint8)
