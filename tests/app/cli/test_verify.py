import pytest


@pytest.fixture
def file(tmp_path):
    """A function that writes bytes to a file of their own."""
    count = iter(range(100))

    def write(content):
        path = tmp_path / f"{next(count)}.jpg"
        path.write_bytes(content)
        return path

    return write


def test_two_pictures_of_one_person_match(in_memory, onelook, file, pictures):
    result = onelook("verify", file(pictures.of("ada")), file(pictures.of("ada", 0.8)))
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "match")
    assert "similarity 0.8000, threshold 0.5000 (FMR 0.001, measured" in result.stdout


def test_no_match_is_an_answer(in_memory, onelook, file, pictures):
    result = onelook("verify", file(pictures.of("ada")), file(pictures.of("bob")))
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "no match (below_threshold)")


def test_compares_with_somebody_enrolled(in_memory, onelook, file, pictures, enrolled):
    enrolled("ada")
    assert onelook("verify", file(pictures.of("ada")), "--person", "ada").stdout.startswith("match\n")
    result = onelook("verify", file(pictures.of("ada")), "--person", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "onelook: There is no such person.\n")


def test_needs_a_second_picture_or_a_person_and_not_both(in_memory, onelook, file, pictures):
    image = file(pictures.of("ada"))
    for words in ((), (image, "--person", "ada")):
        result = onelook("verify", image, *words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


def test_a_rate_beyond_the_sample_is_refused_unless_accepted(in_memory, onelook, file, pictures):
    images = file(pictures.of("ada")), file(pictures.of("ada"))
    refused = onelook("verify", *images, "--target-fmr", "1e-6")
    assert refused.exit_code == 1
    assert "supports no FMR of 1e-06" in refused.stderr
    accepted = onelook("verify", *images, "--target-fmr", "1e-6", "--accept-extrapolated")
    assert accepted.exit_code == 0
    assert "extrapolated" in accepted.stdout


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_is_one_sentence(in_memory, onelook, file, pictures, content):
    result = onelook("verify", file(pictures.of("ada")), file(content))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "Traceback" not in result.stderr


def test_a_file_beyond_the_limit_is_not_read(in_memory, onelook, file, pictures, reader, monkeypatch):
    monkeypatch.setenv("ONELOOK_MAX_IMAGE_BYTES", "1024")
    result = onelook("verify", file(pictures.of("ada")), file(b"x" * 1025))
    assert (result.exit_code, reader.asked) == (1, [])
    assert "more bytes than the limit" in result.stderr


def test_tells_a_pair_of_real_photos_from_two_people(start, samples):
    same = start("verify", samples / "obama-2009.jpg", samples / "obama-2012.jpg", precision="float32")
    out, err = same.communicate(timeout=60)
    assert (same.returncode, out.splitlines()[0]) == (0, "match"), err


def test_says_how_likely_a_match_is_and_of_what_prior(in_memory_likely, onelook, file, pictures):
    result = onelook("verify", file(pictures.of("ada")), file(pictures.of("ada", 0.6)))
    assert "probability 0.9990, where half of all comparisons are rightful" in result.stdout


def test_says_nothing_of_a_probability_that_was_never_fitted(in_memory, onelook, file, pictures):
    assert "probability" not in onelook("verify", file(pictures.of("ada")), file(pictures.of("ada"))).stdout
