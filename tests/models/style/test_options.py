import base64
import json
import math
from dataclasses import fields

import pytest

from models.errors import InvalidOption, StyleError
from models.style.options import CHOICES, LARGEST_SIZE, MOST_STEPS, RANGES, Options

FULL = {
    "medium": "picture",
    "size": 640,
    "steps": 20,
    "extra": 5,
    "alpha": 0.5,
    "beta": 1000,
    "style_weights": [1, 2.5],
    "style_scales": [0.5, 1],
    "layers": {"conv1_1": 0.5, "conv3_1": 0.25},
    "init": "noise",
    "optimizer": "adam",
    "color": "match",
    "tv": 0.1,
    "seed": 7,
    "masks": [base64.b64encode(b"a picture").decode(), None],
    "loss_convention": "johnson",
}


def test_what_is_said_is_understood():
    options = Options.of(FULL)
    assert {field.name for field in fields(Options)} <= set(options.as_json())
    assert options.style_weights == (1.0, 2.5)
    assert options.masks == (b"a picture", None)
    assert options.beta == 1000.0


def test_nothing_said_is_the_defaults():
    assert Options.of({}) == Options()
    assert Options.of(Options().as_json()) == Options()


def test_what_it_says_of_itself_is_understood_again():
    options = Options.of(FULL)
    assert Options.of(json.loads(json.dumps(options.as_json()))) == options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("steps", -3),
        ("steps", MOST_STEPS + 1),
        ("steps", 1.5),
        ("steps", "20"),
        ("steps", True),
        ("steps", None),
        ("steps", 10**400),
        ("steps", math.nan),
        ("extra", -1),
        ("size", 15),
        ("size", LARGEST_SIZE + 1),
        ("size", 512.0),
        ("alpha", -0.1),
        ("alpha", math.nan),
        ("alpha", math.inf),
        ("alpha", 10**400),
        ("beta", -1),
        ("beta", -math.inf),
        ("beta", math.nan),
        ("beta", [1]),
        ("tv", -1),
        ("seed", -1),
        ("seed", 2**53 + 1),
        ("seed", -(10**400)),
        ("init", "white"),
        ("init", None),
        ("optimizer", "sgd"),
        ("optimizer", ["adam"]),
        ("color", 1),
        ("medium", "smell"),
        ("loss_convention", "gatys"),
        ("layers", {}),
        ("layers", []),
        ("layers", "conv1_1"),
        ("layers", {"conv1_1": -1}),
        ("layers", {"conv1_1": math.nan}),
        ("layers", {"conv1_1": "much"}),
        ("layers", {"conv1_1": 0, "conv2_1": 0}),
        ("layers", {1: 1}),
        ("style_weights", 1),
        ("style_weights", "11"),
        ("style_weights", [0]),
        ("style_weights", [-1]),
        ("style_weights", [math.nan]),
        ("style_weights", ["1"]),
        ("style_weights", [1] * 5),
        ("style_weights", {"a": 1}),
        ("style_scales", [0]),
        ("style_scales", [1e4]),
        ("style_scales", [None]),
        ("masks", "AAAA"),
        ("masks", ["not base64!"]),
        ("masks", ["AAA"]),
        ("masks", [5]),
        ("masks", [["AAAA"]]),
        ("masks", ["é"]),
        ("stlye_weights", [1]),
        ("", 1),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(name, value):
    with pytest.raises(InvalidOption) as refused:
        Options.of({name: value})
    assert refused.value.option == name
    assert isinstance(refused.value, StyleError)
    assert str(refused.value)


@pytest.mark.parametrize("name", sorted(RANGES))
def test_the_ends_of_each_range_belong_to_it(name):
    for value in RANGES[name]:
        assert getattr(Options.of({name: value}), name) == value


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_each_choice_can_be_made(name):
    for value in CHOICES[name]:
        assert getattr(Options.of({name: value}), name) == value


@pytest.mark.parametrize("name", ["medium", "size", "beta", "layers", "optimizer"])
def test_what_has_no_fixed_default_may_be_left_open(name):
    assert getattr(Options.of({name: None}), name) is None


def test_wanting_nothing_is_refused():
    with pytest.raises(InvalidOption) as refused:
        Options.of({"alpha": 0, "beta": 0})
    assert refused.value.option == "beta"
    assert Options.of({"alpha": 0}).alpha == 0
    assert Options.of({"beta": 0}).beta == 0


@pytest.mark.parametrize("name", ["style_weights", "style_scales", "masks"])
@pytest.mark.parametrize(("told", "styles"), [(1, 2), (2, 1), (3, 4)])
def test_a_list_that_fits_no_style_is_refused(name, told, styles):
    value = [None] * told if name == "masks" else [1.0] * told
    with pytest.raises(InvalidOption) as refused:
        Options.of({name: value}).for_styles(styles)
    assert refused.value.option == name
    Options.of({name: value}).for_styles(told)
    Options.of({name: []}).for_styles(styles)


@pytest.mark.parametrize("styles", [0, 5])
def test_no_styles_and_too_many_are_refused(styles):
    with pytest.raises(InvalidOption, match="1 to 4"):
        Options().for_styles(styles)
