from datetime import UTC, datetime

import numpy as np
import pytest

from app.cli.home import open_rows
from app.domain.face import Quality
from app.domain.gallery import NamedGallery
from app.domain.person import Person, Template
from app.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
# One that thresholds are shipped for.
MODEL = "sface-522a87a7e64c"


@pytest.fixture
def enrolled(home):
    """Enrols somebody whose face has that similarity to the first axis, and else an axis of its own."""

    def enrol(number, *similarities, gallery=None):
        with open_rows(Settings(home=home)) as store, store.write() as uow:
            uow.people.add(Person(f"p{number}", f"Person {number}", NOW, NOW))
            for n, similarity in enumerate(similarities):
                vector = np.zeros(128, np.float32)
                vector[[0, 10 * number + n]] = similarity, np.sqrt(1 - similarity**2)
                quality = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
                uow.templates.add(Template(f"t{number}.{n}", f"p{number}", MODEL, quality, NOW, vector))
            if gallery is not None:
                uow.galleries.join(gallery, f"p{number}")
            uow.commit()

    return enrol


def test_prints_the_most_suspicious_first_and_what_it_is_judged_by(onelook, enrolled):
    enrolled(1, 0.9)
    enrolled(2, 0.8)
    enrolled(3, 0.7, 0.1)
    result = onelook("audit", "duplicates")
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if "0." in line]
    assert [next(word for word in line.split() if word.startswith("0.")) for line in lines[:4]] == [
        "0.7200",
        "0.6300",
        "0.5600",
        "0.0700",
    ]
    assert "Person 1 (p1)" in lines[0]
    assert "Person 2 (p2)" in lines[0]
    assert "one with two faces" in lines[3]
    assert "4 found among 4 templates, judged by fmr-0." in result.stdout


def test_looks_only_at_a_gallery_and_prints_no_more_than_asked(onelook, enrolled, home):
    with open_rows(Settings(home=home)) as store, store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "Lab", NOW))
        uow.commit()
    for n in (1, 2, 3):
        enrolled(n, 0.9, gallery="lab" if n > 1 else None)
    assert "1 found among 2 templates" in onelook("audit", "duplicates", "--gallery", "lab").stdout
    assert "2 found, and perhaps more among 3" in onelook("audit", "duplicates", "--limit", 2).stdout


def test_says_so_when_there_is_nothing(onelook, enrolled):
    assert onelook("audit", "duplicates").stdout == "nobody is enrolled\n"
    enrolled(1, 0.9)
    assert onelook("audit", "duplicates").stdout.startswith("0 found among 1 templates")


def test_refuses_a_target_without_evidence_and_a_gallery_that_is_not_there(onelook, enrolled):
    enrolled(1, 0.9)
    for words in (("--target-fmr", "0.0000001"), ("--gallery", "nowhere")):
        result = onelook("audit", "duplicates", *words)
        assert (result.exit_code, result.stderr.startswith("onelook: ")) == (1, True)
