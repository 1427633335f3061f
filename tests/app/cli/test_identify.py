import pytest


@pytest.fixture
def image(tmp_path):
    """A function that writes bytes to a file."""

    def write(content):
        path = tmp_path / "probe.jpg"
        path.write_bytes(content)
        return path

    return write


def test_names_somebody_enrolled(in_memory, onelook, image, pictures, enrolled):
    enrolled("ada")
    enrolled("bob")
    result = onelook("identify", image(pictures.of("ada", 0.9)))
    assert result.exit_code == 0
    assert result.stdout.startswith("recognized: Ada (ada)\nsimilarity 0.9000, threshold 0.6000 (FPIR 0.01, measured")
    assert "2 persons, 2 templates" in result.stdout
    assert "bob" not in result.stdout.casefold()


def test_names_nobody_below_the_threshold(in_memory, onelook, image, pictures, enrolled):
    enrolled("ada")
    result = onelook("identify", image(pictures.of("eve")))
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "not recognized (below_threshold)")
    assert "ada" not in result.stdout.casefold()


def test_lists_the_closest_when_asked(in_memory, onelook, image, pictures, enrolled):
    for who in ("ada", "bob", "eve"):
        enrolled(who)
    rows = onelook("identify", image(pictures.of("zoe", 0.9, like="bob")), "--top-k", "2").stdout
    assert rows.startswith("not recognized")
    assert "│ 1    │ 0.4359     │ bob" in rows
    assert "│ 2 " in rows
    assert "│ 3 " not in rows


def test_a_picture_without_a_face_is_one_sentence(in_memory, onelook, image, pictures):
    result = onelook("identify", image(pictures.show()))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "No face was found" in result.stderr


def test_a_missing_file_is_a_mistake_of_usage(in_memory, onelook, tmp_path):
    result = onelook("identify", tmp_path / "none.jpg")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not exist" in result.stderr


def test_says_how_likely_the_person_named_is_right(in_memory_likely, onelook, image, pictures, enrolled):
    for who in ("ada", "bob", "eve", "zoe"):
        enrolled(who)
    result = onelook("identify", image(pictures.of("ada", 0.6)))
    assert "probability 0.9960, where half of the searches are by somebody enrolled" in result.stdout
    assert "probability" not in onelook("identify", image(pictures.of("who"))).stdout
