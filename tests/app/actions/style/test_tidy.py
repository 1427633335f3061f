import os
import time as clock
from dataclasses import replace

from app.store.files.style_files import FileStyleFiles


def age(files, job_id, seconds):
    then = clock.time() - seconds
    os.utime(files._of(job_id), (then, then))


def test_what_was_begun_three_times_and_lost_has_failed(asked, claim, tidy, find, time, reports, events, store):
    job = asked()
    for attempt in (1, 2, 3):
        token = claim().token
        if attempt == 1:
            with store.write() as uow:
                uow.style_jobs.write(job.id, token, error={"code": "internal", "detail": "of an attempt"})
                uow.commit()
        tidy()
        time.move(31)
    assert find(job.id).job.status == "running"
    tidy()
    failed = find(job.id).job
    assert (failed.status, failed.error["code"], failed.error["last"]["detail"]) == (
        "failed",
        "worker_lost",
        "of an attempt",
    )
    assert "3 times" in failed.error["detail"]
    assert job.id in reports[0]
    assert events(job.id).events[-1].type == "completed"


def test_what_was_cancelled_and_left_is_cancelled(asked, claim, cancel, tidy, find, time):
    job = asked()
    claim()
    cancel(job.id)
    tidy()
    assert find(job.id).job.status == "running"
    time.move(31)
    tidy()
    assert (find(job.id).job.status, find(job.id).job.error) == ("cancelled", None)


def test_what_waits_for_too_long_has_failed(asked, tidy, find, time):
    job = asked()
    time.move(86_401)
    tidy()
    assert (find(job.id).job.status, find(job.id).job.error["code"]) == ("failed", "worker_lost")
    assert "in time" in find(job.id).job.error["detail"]


def test_what_has_expired_is_gone_with_its_files(asked, claim, run, tidy, time, store, style_files):
    job = asked()
    run(claim())
    time.move(86_000)
    tidy()
    assert style_files.held() == [job.id]
    time.move(1000)
    age(style_files, job.id, 1000)
    tidy()
    assert style_files.held() == []
    with store.read() as uow:
        assert uow.style_jobs.get(job.id) is None


def test_files_without_a_row_go_but_not_at_once(style_files, tidy):
    style_files.make("sty_1")
    style_files.put("sty_1", "content", b"x")
    tidy()
    assert style_files.held() == ["sty_1"]
    age(style_files, "sty_1", 1000)
    tidy()
    assert style_files.held() == []


def test_what_was_given_up_keeps_only_what_its_row_names(asked, claim, cancel, tidy, style_files, time):
    job = asked()
    claim()
    style_files.put(job.id, "1/checkpoint-9", b"of no row")
    cancel(job.id)
    time.move(31)
    tidy()
    assert style_files.names(job.id) == ["content", "style-1"]


def test_leaves_the_renders_of_another_home_alone(asked, claim, tidy, store, time, tmp_path, reports, find):
    job = asked()
    claim()
    time.move(31)
    other = replace(tidy, files=FileStyleFiles(tmp_path / "elsewhere"))
    other()
    assert find(job.id).job.status == "running"
    assert reports == []
