"""Clouds of points: what is read is written again but for its colours; what is none is refused."""

import io

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from models.errors import TooLarge, UnreadableMedia
from models.style import cloud

RNG = np.random.default_rng(2)
COLOURED = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("quality", "f8")]


def ply(count=200, *, text=False, kinds=COLOURED, order="<", faces=True):
    data = np.zeros(count, kinds)
    for name, kind in kinds:
        data[name] = RNG.integers(0, 255, count) if kind == "u1" else RNG.random(count)
    elements = [PlyElement.describe(data, "vertex")]
    if faces:
        face = np.array([([0, 1, 2],), ([1, 2, 3],)], dtype=[("vertex_indices", "i4", (3,))])
        elements.append(PlyElement.describe(face, "face"))
    out = io.BytesIO()
    PlyData(elements, text=text, byte_order=order, comments=["ours"]).write(out)
    return out.getvalue()


@pytest.mark.parametrize("how", [{}, {"text": True}, {"order": ">"}])
def test_only_colours_change_in_a_file(how):
    content = ply(**how)
    found = cloud.decode(content)
    colours = 255 - found.colours
    before, after = (PlyData.read(io.BytesIO(x)) for x in (content, cloud.encode(found, colours)))
    assert (after.text, after.byte_order, after.comments) == (before.text, before.byte_order, before.comments)
    for name in ("x", "y", "z", "quality"):
        np.testing.assert_array_equal(after["vertex"][name], before["vertex"][name])
    np.testing.assert_array_equal(after["vertex"]["green"], 255 - before["vertex"]["green"])
    np.testing.assert_array_equal(np.vstack(after["face"]["vertex_indices"]), [[0, 1, 2], [1, 2, 3]])


def test_colours_from_0_to_1_are_kept_so():
    kinds = [(name, "f4") for name in ("x", "y", "z", "red", "green", "blue")]
    found = cloud.decode(ply(kinds=kinds))
    assert found.colours.max() > 100
    again = cloud.decode(cloud.encode(found, found.colours))
    np.testing.assert_allclose(again.colours, found.colours, atol=1e-3)


def test_a_cell_has_the_mean_colour_of_its_points_and_one_without_points_that_of_the_cloud():
    found = cloud.decode(ply(50))
    grid = cloud.grid_of(found.places, 0.2, 4)
    means, filled = grid.means(found.colours)
    for place in np.ndindex(*grid.space):
        inside = (grid.cells == place).all(1)
        assert filled[place] == inside.any()
        expected = found.colours[inside].mean(0) if inside.any() else found.colours.mean(0)
        np.testing.assert_allclose(means[(slice(None), *place)], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ply\nno header at all", "damaged"),
        (ply()[:-400], "damaged"),
        (ply(kinds=[("x", "f4"), ("y", "f4"), ("z", "f4")], faces=False), "red, green and blue"),
        (ply(5), "is least"),
    ],
)
def test_what_is_no_cloud_of_coloured_points_is_refused(content, why):
    with pytest.raises(UnreadableMedia, match=why):
        cloud.decode(content)


def test_places_that_are_no_numbers_are_refused():
    data = np.zeros(20, COLOURED)
    data["x"] = np.nan
    out = io.BytesIO()
    PlyData([PlyElement.describe(data, "vertex")]).write(out)
    with pytest.raises(UnreadableMedia, match="no numbers"):
        cloud.decode(out.getvalue())


def test_a_header_that_promises_too_many_points_is_refused_before_they_are_read():
    head = ply(faces=False).partition(b"end_header")[0].replace(b"element vertex 200", b"element vertex 900000000")
    with pytest.raises(TooLarge):
        cloud.decode(head + b"end_header\n" + bytes(1000))
