from pathlib import Path

import pytest

from models.measure.identities import is_enrolled, open_set_photos, photos_of, read_identities


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/1.jpg", "a/1.PNG", "a/notes.txt", ".hidden/1.jpg", "c/.trash.jpg", "d/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "stray.jpg").touch()
    return tmp_path


def test_a_folder_is_a_person_and_only_pictures_are_photos(folder: Path) -> None:
    assert photos_of(folder) == {"a": ("a/1.PNG",), "b": ("b/1.jpg", "b/2.jpg"), "d": ("d/1.jpg",)}


def test_a_list_chooses_among_the_people_and_may_name_others(folder: Path) -> None:
    assert list(photos_of(folder, frozenset({"b", "elsewhere"}))) == ["b"]


def test_when_nobody_is_left_it_says_so(folder: Path) -> None:
    with pytest.raises(ValueError, match="no photos of those identities"):
        photos_of(folder, frozenset({"elsewhere"}))


def test_a_list_of_identities_has_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text("07201\n\n# a remark\n07202  # of both folders\n")
    assert read_identities(file) == {"07201", "07202"}
    file.write_text("# nobody\n")
    with pytest.raises(ValueError, match="names nobody"):
        read_identities(file)


def test_half_of_those_with_two_photos_are_enrolled_and_everybody_else_is_a_stranger() -> None:
    people = {f"{i:05d}": tuple(f"{i:05d}/{k}.jpg" for k in range(1 + i % 3)) for i in range(3000)}
    photos = open_set_photos(people)
    enrolled = {path.split("/")[0] for path in photos.enrolled}
    strangers = {path.split("/")[0] for path in photos.strangers}
    assert enrolled | strangers == set(people)
    assert not enrolled & strangers
    assert all(path.endswith("/0.jpg") for path in photos.enrolled)
    assert all(len(people[name]) > 1 for name in enrolled)
    assert 900 < len(enrolled) < 1100
    assert len(photos.enrolled) + len(photos.probes) + len(photos.strangers) == sum(map(len, people.values()))


def test_who_is_enrolled_hangs_on_the_name_alone() -> None:
    assert [is_enrolled(name) for name in ("07201", "07202", "07203", "07204")] == [False, True, True, True]
