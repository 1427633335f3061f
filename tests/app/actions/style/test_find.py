import threading

import pytest

from app.actions.style.find import ListStyle
from app.errors import NotEnded, UnknownJob


def test_only_its_owner_and_an_admin_see_it(asked, find, key):
    job = asked(owner="k1")
    assert find(job.id).job == find(job.id, key("k2", "admin")).job == job
    for job_id, by in ((job.id, key("k2")), ("sty_none", key()), ("../x", key())):
        with pytest.raises(UnknownJob):
            find(job_id, by)


def test_those_that_wait_have_a_place_in_the_queue(asked, find, claim, run):
    first, second, third = asked(), asked(), asked()
    assert [find(job.id).position for job in (first, second, third)] == [1, 2, 3]
    assert find(third.id).begins_in_s is None
    assert find(first.id).begins_in_s == 0
    run(claim())
    assert (find(first.id).position, find(first.id).begins_in_s) == (None, None)
    # As long for six steps as the first one took, a second a step.
    assert (find(second.id).position, find(second.id).begins_in_s) == (1, 0)
    assert find(third.id).begins_in_s == pytest.approx(6, rel=0.01)


def test_one_that_runs_says_when_it_ends(asked, find, claim, run, renderer):
    job, next_one, seen = asked(steps=10), asked(), []

    def look(step):
        if step == 5:
            seen.extend([find(job.id), find(next_one.id)])

    renderer.before_step = look
    run(claim())
    assert seen[0].eta_s == pytest.approx(6, rel=0.01)
    assert (seen[1].position, seen[1].begins_in_s) == (1, pytest.approx(6, rel=0.01))


def test_lists_what_the_caller_may_see(asked, store, claim, key):
    jobs = [asked(owner="k1"), asked(owner="k2"), asked(owner="k1")]
    claim()
    listed = ListStyle(store)
    assert [state.job.id for state in listed(key())] == [jobs[2].id, jobs[0].id]
    assert [state.job.id for state in listed(key("k3", "admin"))] == [job.id for job in reversed(jobs)]
    assert [state.job.id for state in listed(key(), status="running")] == [jobs[0].id]
    assert [state.position for state in listed(key(), limit=1)] == [2]
    assert [state.job.id for state in listed(key(), before=jobs[2].id)] == [jobs[0].id]


def test_there_is_no_file_before_it_was_made(asked, read, claim, run, cancel):
    job = asked()
    for what in ("preview", "output"):
        with pytest.raises(NotEnded):
            read(job.id, what)
    cancel(job.id)
    with pytest.raises(UnknownJob, match="without"):
        read(job.id)


def test_a_preview_can_be_read_while_it_is_replaced(asked, claim, run, read, renderer):
    job, done, seen = asked(steps=200), threading.Event(), []

    def look():
        while not done.is_set():
            try:
                seen.append(read(job.id, "preview")[0])
            except NotEnded:
                continue

    thread = threading.Thread(target=look)
    thread.start()
    run(claim())
    done.set()
    thread.join()
    assert all(content.startswith(b"preview") for content in seen)


def test_says_where_the_files_are_gone(asked, claim, run, read, style_files):
    job = asked()
    run(claim())
    style_files.remove(job.id)
    with pytest.raises(UnknownJob, match="not here"):
        read(job.id)
