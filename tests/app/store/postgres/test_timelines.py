import pytest

from app.store.postgres.timelines import TimelineMemory


@pytest.fixture
def reports():
    return []


@pytest.fixture
def open_memory(tmp_path, reports):
    def open_(path=tmp_path / "home" / "timelines"):
        memory = TimelineMemory(path, reports.append)
        memory.refresh()
        return memory

    return open_


def test_remembers_the_newest_over_a_restart(open_memory, reports):
    first = open_memory()
    assert (first.system, first.timeline) == (None, 0)
    first.note("77", 1)
    first.note("77", 12)
    first.note("77", 3)
    assert first.timeline == 12
    again = open_memory()
    assert (again.system, again.timeline) == ("77", 12)
    assert reports == []


def test_takes_over_what_another_process_noted(open_memory):
    one, other = open_memory(), open_memory()
    one.note("77", 2)
    other.note("77", 1)
    assert other.timeline == 1
    other.refresh()
    assert other.timeline == 2
    assert open_memory().timeline == 2


@pytest.mark.parametrize("cut", ["\n", "\n7", "\n77", "\n77 ", "\n77 1", "\n77 two\n", "\xff\xfe 9"])
def test_a_line_that_a_crash_cut_short_spoils_no_other(open_memory, cut, reports):
    open_memory().note("77", 3)
    path = open_memory().path
    with path.open("a", encoding="latin-1") as file:
        file.write(cut)
    open_memory().note("77", 14)
    assert (open_memory().system, open_memory().timeline) == ("77", 14)
    assert reports == []


def test_lines_of_another_cluster_count_for_nothing(open_memory):
    memory = open_memory()
    memory.note("77", 2)
    with memory.path.open("a") as file:
        file.write("\n78 9\n")
    assert (open_memory().system, open_memory().timeline) == ("77", 2)


def test_says_so_when_it_cannot_be_kept_and_remembers_while_it_runs(open_memory, tmp_path, reports):
    (tmp_path / "file").write_text("")
    memory = open_memory(tmp_path / "file" / "timelines")
    memory.note("77", 2)
    assert memory.timeline == 2
    assert len(reports) == 1
    assert "would forget timeline 2" in reports[0]


def test_needs_no_file(open_memory, reports):
    memory = open_memory(None)
    memory.note("77", 2)
    memory.refresh()
    assert (memory.system, memory.timeline) == ("77", 2)
    assert reports == []


def test_is_nobody_elses_to_read(open_memory):
    memory = open_memory()
    memory.note("77", 1)
    assert memory.path.stat().st_mode & 0o077 == 0
