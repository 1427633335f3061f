import json

import numpy as np
import pytest

from app.errors import InvalidField
from app.inference.measuring import measure


def faces_of(people, photos, spread=0.6):
    """Random people of a few photos each, and their labels."""
    chance = np.random.default_rng(5)
    faces, labels = [], []
    for person in range(people):
        centre = chance.normal(size=128)
        for _ in range(photos):
            vector = centre + spread * chance.normal(size=128)
            faces.append((vector / np.linalg.norm(vector)).astype(np.float32))
            labels.append(f"p{person}")
    return faces, labels


def test_measures_points_that_json_takes_and_names_nobody():
    faces, labels = faces_of(120, 2)
    found = measure([*faces, None], [*labels, "p0"], "ours", "model-x")
    assert found["sample"]["people"] == 120
    assert found["sample"]["photos_without_face"] == 1
    assert {point["model_id"] for point in found["verification"]} == {"model-x"}
    assert found["identification"]
    text = json.dumps(found, allow_nan=False)
    assert "p17" not in text


@pytest.mark.parametrize(("faces", "labels"), [([], []), ([None, None], ["a", "b"]), faces_of(3, 1), faces_of(8, 2)])
def test_what_no_threshold_can_be_measured_on_is_refused_with_a_reason(faces, labels):
    with pytest.raises(InvalidField) as refused:
        measure(faces, labels, "ours", "model-x")
    assert refused.value.field == "photos"
