import pytest

from app.routes.remembered import GOOD_FOR_S, SIZE, WAYS, Remembered

NOW_S = 5_000.0


@pytest.fixture(params=["alone", "shared"])
def remembered(request, tmp_path):
    if request.param == "alone":
        return Remembered()
    return Remembered(zeros(tmp_path))


def zeros(folder):
    path = folder / "good"
    path.write_bytes(bytes(SIZE))
    return path


def test_knows_the_pair_and_neither_half(remembered):
    remembered.note("a", "k", NOW_S)
    assert remembered.holds("a", "k", NOW_S + 1)
    assert not remembered.holds("a", "j", NOW_S)
    assert not remembered.holds("b", "k", NOW_S)
    assert not remembered.holds("", "a k", NOW_S)


def test_a_week_is_counted_from_the_last_time(remembered):
    remembered.note("a", "k", NOW_S)
    remembered.note("a", "k", NOW_S + GOOD_FOR_S / 2)
    assert remembered.holds("a", "k", NOW_S + 1.4 * GOOD_FOR_S)
    assert not remembered.holds("a", "k", NOW_S + 1.6 * GOOD_FOR_S)


@pytest.mark.parametrize(("pairs", "least"), [(1000, 1000), (4000, 3950)])
def test_thousands_have_room_and_the_table_does_not_grow(remembered, pairs, least):
    for number in range(pairs):
        remembered.note("a", f"key {number}", NOW_S + number)
    assert sum(remembered.holds("a", f"key {number}", NOW_S + pairs) for number in range(pairs)) >= least
    assert len(remembered._table) == SIZE


def test_the_oldest_of_a_full_set_gives_way(monkeypatch, remembered):
    monkeypatch.setattr("app.routes.remembered.SETS", 1)
    for number in range(WAYS + 1):
        remembered.note("a", str(number), NOW_S + number)
    assert [remembered.holds("a", str(number), NOW_S + 100) for number in range(WAYS + 1)] == [False] + [True] * WAYS


def test_what_one_process_notes_another_knows(tmp_path):
    path = zeros(tmp_path)
    one, other = Remembered(path), Remembered(path)
    one.note("a", "k", NOW_S)
    assert other.holds("a", "k", NOW_S)
    assert b"k" * 3 not in path.read_bytes()
