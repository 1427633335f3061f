from pathlib import Path

import pytest

from models.measure.lfw import Pair, person_of, photo, read_protocol

RESEARCH = Path(__file__).parents[4] / "shared" / "data" / "lfw"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    people = "".join(f"Many_{i}\t{10 + i}\n" for i in range(3)) + "Few\t2\n"
    people += "".join(f"One_{i}\t1\n" for i in range(5))
    (tmp_path / "people.txt").write_text(
        f"2\n4\n{people[: people.index('Few')]}Few\t2\n5\n{people[people.index('One') :]}"
    )
    (tmp_path / "peopleDevTest.txt").write_text("2\nMany_1\t11\nOne_0\t1\n")
    (tmp_path / "pairs.txt").write_text("2\t1\nMany_0\t1\t4\nFew\t2\tOne_3\t1\nFew\t1\t2\nOne_1\t1\tOne_2\t1\n")
    return tmp_path


def test_reads_people_and_folds(folder: Path) -> None:
    protocol = read_protocol(folder)
    assert protocol.photos_of["Many_2"] == 12
    assert len(protocol.photos_of) == 9
    assert protocol.view1_test == {"Many_1", "One_0"}
    assert protocol.folds[0] == (
        Pair("Many_0/Many_0_0001.jpg", "Many_0/Many_0_0004.jpg", same=True),
        Pair("Few/Few_0002.jpg", "One_3/One_3_0001.jpg", same=False),
    )
    assert len(protocol.folds) == 2


def test_lists_all_photos_in_order_of_name_and_number(folder: Path) -> None:
    protocol = read_protocol(folder)
    assert len(protocol.photos()) == 10 + 11 + 12 + 2 + 5
    assert protocol.photos()[:3] == ("Few/Few_0001.jpg", "Few/Few_0002.jpg", "Many_0/Many_0_0001.jpg")
    assert protocol.photos(frozenset({"Few"})) == ("Few/Few_0001.jpg", "Few/Few_0002.jpg")


def test_enrols_people_with_ten_photos_by_their_first(folder: Path) -> None:
    photos = read_protocol(folder).open_set(strangers=3)
    assert photos.enrolled == tuple(photo(f"Many_{i}", 1) for i in range(3))
    assert len(photos.probes) == 9 + 10 + 11
    assert photos.strangers == tuple(photo(f"One_{i}", 1) for i in range(3))


def test_outside_the_test_part_the_listed_strangers_stay_the_same(folder: Path) -> None:
    protocol = read_protocol(folder)
    photos = protocol.open_set(protocol.outside(), strangers=3)
    assert [person_of(p) for p in photos.enrolled] == ["Many_0", "Many_2"]
    assert [person_of(p) for p in photos.strangers] == ["One_1", "One_2"]
    assert len(protocol.open_set(protocol.outside(), None).strangers) == 4


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("people.txt", "2\nFew\ttwo\n", "people.txt, line 2"),
        ("peopleDevTest.txt", "1\nNobody\t1\n", "names Nobody"),
        ("pairs.txt", "", "line 1"),
        ("pairs.txt", "1\t1\nFew\t1\t2\nFew\t1\n", "line 3"),
        ("pairs.txt", "1\t1\nFew\t1\t2\n", "1 pairs where 1 times 2"),
    ],
)
def test_refuses_a_file_that_is_not_as_published(folder: Path, name: str, text: str, complaint: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_protocol(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "pairs.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"pairs\.txt"):
        read_protocol(folder)


@pytest.mark.research
@pytest.mark.skipif(not RESEARCH.is_dir(), reason="the photos of LFW are not at ../shared/data/lfw")
def test_the_published_files_hold_what_is_published() -> None:
    protocol = read_protocol(RESEARCH)
    assert len(protocol.photos_of) == 5749
    assert len(protocol.photos()) == 13_233
    assert all((RESEARCH / path).is_file() for path in protocol.photos())
    assert len(protocol.view1_test) == 1711
    assert [(len(f), sum(p.same for p in f)) for f in protocol.folds] == [(600, 300)] * 10
    photos = protocol.open_set()
    assert (len(photos.enrolled), len(photos.probes), len(photos.strangers)) == (158, 4166, 1000)
