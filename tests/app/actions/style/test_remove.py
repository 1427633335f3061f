import pytest

from app.errors import UnknownJob


def test_leaves_neither_files_nor_rows(asked, claim, run, remove, style_files, find, store):
    job, other = asked(), asked()
    run(claim())
    remove(job.id)
    assert style_files.held() == [other.id]
    with pytest.raises(UnknownJob):
        find(job.id)
    with store.read() as uow:
        assert uow.style_jobs.events(job.id, after=0, limit=9) == []


def test_one_that_waits_is_not_begun(asked, remove, claim):
    job = asked()
    remove(job.id)
    assert claim() is None


def test_nobody_removes_what_is_another_s(asked, remove, key, style_files):
    job = asked()
    with pytest.raises(UnknownJob):
        remove(job.id, key("k2"))
    assert style_files.held() == [job.id]
