import itertools
import threading

import pytest

from app.domain.style_job import OtherState
from app.errors import Busy, InvalidOption, StoreAway

KEPT_FILES = ["1/checkpoint-6", "1/preview-6", "1/result", "content", "style-1"]


def test_makes_the_file_and_says_so(asked, claim, run, find, read, style_files, time):
    job = asked()
    time.move(5)
    run(claim())
    done = find(job.id).job
    assert (done.status, done.step, done.scale, done.evaluations, done.error) == ("succeeded", 6, 2, 12, None)
    assert done.metrics == {"queue_s": 5.0, "run_s": 6.0, "peak_memory_bytes": 1 << 20, "evaluations": 12}
    assert done.losses == {"total": 1 / 6, "content": 0.0, "style": None, "per_layer": {"conv1_1": 1.0}}
    assert done.steps_per_s == pytest.approx(1.0)
    content, facts = read(job.id)
    assert (len(content), facts["bytes"], facts["media_type"], facts["suffix"]) == (64, 64, "image/png", ".png")
    assert (facts["width"], facts["height"]) == (3, 2)
    assert read(job.id, "preview")[0] == b"preview 6"
    assert style_files.names(job.id) == KEPT_FILES


def test_tells_each_change_in_order_without_gaps(asked, claim, run, events):
    job = asked()
    run(claim())
    told = events(job.id)
    assert [event.seq for event in told.events] == list(range(1, told.last + 1))
    kinds = [event.type for event in told.events]
    assert kinds[:4] == ["status", "status", "progress", "preview"]
    assert kinds[-3:] == ["progress", "preview", "completed"]
    assert kinds.count("warning") == 1
    assert [event.data["step"] for event in told.events if event.type == "progress"] == [1, 2, 3, 4, 5, 6]
    # Of the first step, every two seconds, and at the end of each scale.
    assert [event.data["step"] for event in told.events if event.type == "preview"] == [1, 3, 5, 6]
    assert told.events[-1].data == {"status": "succeeded"}
    assert told.job.seq == told.last


def test_tells_of_progress_at_most_twice_a_second(asked, claim, run, events, renderer, time):
    job = asked(steps=40)
    renderer.before_step = lambda step: time.move(-0.9)
    run(claim())
    told = events(job.id).events
    progress = [event.at for event in told if event.type == "progress"]
    assert 4 <= len(progress) <= 10
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(progress)]
    # But for the last one, which comes with the end.
    assert min(gaps[:-1]) >= 0.499


def test_what_is_written_on_the_way_is_let_go_when_it_is_replaced(asked, claim, run, style_files, renderer):
    job, seen = asked(), []
    renderer.before_step = lambda step: seen.append(style_files.names(job.id))
    run(claim())
    assert all(sum("preview" in name for name in names) <= 1 for names in seen)
    assert all(sum("checkpoint" in name for name in names) <= 1 for names in seen)
    assert not any("1/result" in names for names in seen)
    assert {"1/checkpoint-1", "1/preview-1"} <= set(seen[1])


def test_a_render_that_is_cancelled_ends_with_what_it_has_come_to(asked, claim, run, find, cancel, read, renderer):
    job = asked()
    renderer.before_step = lambda step: step == 4 and cancel(job.id)
    run(claim())
    ended = find(job.id).job
    assert (ended.status, ended.step, ended.output, ended.cancel_asked) == ("cancelled", 4, None, False)
    assert (ended.checkpoint["step"], read(job.id, "preview")[0]) == (4, b"preview 4")


def test_when_the_process_stops_the_render_waits_for_the_next_one(asked, claim, run, find, renderer, whole, read):
    expected, job = whole(), asked()
    stop = threading.Event()
    renderer.before_step = lambda step: step == 4 and stop.set()
    run(claim(), stop)
    waiting = find(job.id).job
    assert (waiting.status, waiting.attempt, waiting.step, waiting.checkpoint["step"]) == ("queued", 0, 4, 4)
    renderer.before_step = lambda step: None
    run(claim())
    assert renderer.states[-1] is not None
    assert read(job.id)[0] == expected
    done = find(job.id).job
    assert (done.attempt, done.metrics["run_s"]) == (1, 6.0)


class Killed(BaseException):
    """The process is gone: nothing is written any more."""


def test_another_goes_on_where_a_lost_worker_was(
    asked, claim, run, find, renderer, whole, read, time, style_files, store, monkeypatch
):
    expected, job = whole(), asked()

    def vanish(*given):
        raise Killed

    def at_the_fifth(step):
        if step == 5:
            monkeypatch.setattr(store, "write", vanish)
            vanish()

    renderer.before_step = at_the_fifth
    lost = claim()
    with pytest.raises(Killed):
        run(lost)
    monkeypatch.undo()
    renderer.before_step = lambda step: None
    assert claim() is None
    time.move(31)
    again = claim()
    assert (again.token, again.attempt, again.step, again.checkpoint["step"]) == (2, 2, 4, 3)
    run(again)
    assert read(job.id)[0] == expected
    assert style_files.names(job.id) == [name.replace("1/", "2/") for name in KEPT_FILES]
    # It got on: had it been lost again, all attempts were before it.
    assert find(job.id).job.attempt == 1


def test_a_render_that_gets_on_each_time_may_be_lost_as_often_as_it_likes(
    asked, claim, run, find, renderer, whole, read, time, store, monkeypatch
):
    expected, job = whole(), asked()

    def vanish(*given):
        raise Killed

    for number in range(5):

        def at_the_second(step, made=itertools.count(1)):  # noqa: B008 - each attempt counts anew
            if next(made) == 2:
                monkeypatch.setattr(store, "write", vanish)
                vanish()

        renderer.before_step = at_the_second
        lost = claim()
        assert (lost.token, lost.attempt) == (number + 1, 1 if number == 0 else 2)
        with pytest.raises(Killed):
            run(lost)
        monkeypatch.undo()
        time.move(31)
    renderer.before_step = lambda step: None
    run(claim())
    assert find(job.id).job.status == "succeeded"
    assert read(job.id)[0] == expected


def test_a_process_that_ends_at_once_gives_the_render_back(asked, claim, run, find, renderer):
    job = asked()

    def interrupt(step):
        raise KeyboardInterrupt

    renderer.before_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(claim())
    assert (find(job.id).job.status, find(job.id).job.attempt) == ("queued", 0)


def test_whoever_was_only_slow_writes_nothing_more(asked, claim, run, find, renderer, read, time, store, style_files):
    job, taken = asked(), []

    def sleep(step):
        if step == 4 and not taken:
            time.move(31)
            taken.append(claim())

    renderer.before_step = sleep
    run(claim())
    assert find(job.id).job.token == 2
    assert find(job.id).job.status == "running"
    assert find(job.id).job.step == 3
    # What the slow one had published stays for the other, and nothing else of it.
    assert style_files.names(job.id) == ["1/checkpoint-3", "1/preview-3", "content", "style-1"]
    run(taken[0])
    assert find(job.id).job.status == "succeeded"
    assert read(job.id)[1]["name"] == "2/result"


def test_fails_for_good_after_three_attempts_and_says_why(asked, claim, run, find, renderer, reports):
    job = asked()

    def fail(step):
        if step == 2:
            raise RuntimeError("a secret")

    renderer.before_step = fail
    for attempt in (1, 2, 3):
        begun = claim()
        assert begun.attempt == attempt
        run(begun)
    failed = find(job.id).job
    assert (failed.status, failed.error["code"]) == ("failed", "internal")
    assert "RuntimeError" in failed.error["detail"]
    assert "secret" not in failed.error["detail"]
    assert "a secret" in reports[0]
    assert claim() is None


def test_a_failure_counts_from_the_last_checkpoint_that_was_kept(asked, claim, run, find, renderer):
    job, fails_at = asked(), [2, 2, 3, 3, 3]

    def fail(step):
        if fails_at and step == fails_at[0]:
            raise RuntimeError(fails_at.pop(0))

    renderer.before_step = fail
    seen = []
    while (begun := claim()) is not None:
        seen.append(begun.attempt)
        run(begun)
    # The third attempt kept what the step made that the first two had failed at.
    assert seen == [1, 2, 3, 2, 3]
    assert find(job.id).job.status == "failed"


def test_memory_that_is_not_enough_is_tried_again(asked, claim, run, find, renderer):
    job, faults = asked(), [MemoryError()]

    def fail(step):
        if faults:
            raise faults.pop()

    renderer.before_step = fail
    run(claim())
    assert "smaller" in find(job.id).job.error["detail"]
    run(claim())
    done = find(job.id).job
    assert (done.status, done.token, done.error) == ("succeeded", 2, None)


def test_an_error_of_the_asking_is_not_tried_again(asked, claim, run, find, renderer):
    job = asked()

    def refuse(step):
        raise InvalidOption("beta", "beta is too great.")

    renderer.before_step = refuse
    run(claim())
    failed = find(job.id).job
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert failed.error == {"code": "InvalidOption", "detail": "beta is too great."}


def test_a_render_whose_files_are_gone_fails_and_says_so(asked, claim, run, find, style_files):
    job = asked()
    style_files.drop(job.id, "style-1")
    run(claim())
    assert (find(job.id).job.status, find(job.id).job.error["code"]) == ("failed", "files_gone")


def test_begins_anew_where_its_checkpoint_is_gone_or_of_another_engine(asked, claim, run, find, renderer, style_files):
    for spoil in (
        lambda job: style_files.drop(job.id, job.checkpoint["name"]),
        lambda job: style_files.put(job.id, job.checkpoint["name"], b'{"identity": "another"}'),
    ):
        job, stop = asked(), threading.Event()
        renderer.before_step = lambda step, stop=stop: step == 2 and stop.set()
        run(claim(), stop)
        spoil(find(job.id).job)
        renderer.before_step = lambda step: None
        run(claim())
        assert find(job.id).job.status == "succeeded"
        assert renderer.states[-1] is None


def test_a_renderer_that_makes_no_step_fails(asked, claim, run, find, renderer, monkeypatch):
    job = asked()
    monkeypatch.setattr(renderer, "render", lambda *given, **more: (step for step in ()))
    run(claim())
    assert "OtherState" in find(job.id).job.error["detail"]
    assert issubclass(OtherState, Exception)


def test_one_that_is_removed_meanwhile_leaves_nothing(asked, claim, run, remove, style_files, renderer, store):
    job = asked()
    renderer.before_step = lambda step: step == 3 and remove(job.id)
    run(claim())
    assert style_files.held() == []
    with store.read() as uow:
        assert uow.style_jobs.get(job.id) is None


def test_goes_on_where_a_preview_cannot_be_kept(asked, claim, run, find, style_files, monkeypatch, reports):
    job, put = asked(), style_files.put

    def full(job_id, name, content):
        if "preview" in name or "checkpoint" in name:
            raise OSError(28, "No space left on device")
        put(job_id, name, content)

    monkeypatch.setattr(style_files, "put", full)
    run(claim())
    assert find(job.id).job.status == "succeeded"
    assert "No space left" in reports[0]


def test_a_result_that_cannot_be_kept_is_tried_again(asked, claim, run, find, style_files, monkeypatch):
    job, put = asked(), style_files.put

    def full(job_id, name, content):
        if "result" in name:
            raise OSError(28, "No space left on device")
        put(job_id, name, content)

    monkeypatch.setattr(style_files, "put", full)
    run(claim())
    assert find(job.id).job.status == "queued"
    assert find(job.id).job.output is None


def test_goes_on_while_the_database_is_away(asked, claim, run, find, store, monkeypatch, renderer, events):
    job, begin, away = asked(), store.write, []

    def write():
        if away:
            raise away.pop(0)
        return begin()

    monkeypatch.setattr(store, "write", write)
    renderer.before_step = lambda step: away.extend([StoreAway(), Busy()] if step in (2, 6) else [])
    run(claim())
    assert find(job.id).job.status == "succeeded"
    told = events(job.id)
    assert [event.seq for event in told.events] == list(range(1, told.last + 1))


def test_a_long_step_does_not_hold_up_a_process_that_stops(asked, claim, run, find, renderer, time):
    job, stop = asked(steps=2), threading.Event()
    original = renderer.render

    def slow(*given, beat, **more):
        for shown in original(*given, beat=beat, **more):
            yield shown
            stop.set()
            # A step that never ends: it asks several times whether it may go on.
            for _ in range(10):
                time.move(1)
                beat()

    renderer.render = slow
    run(claim(), stop)
    assert (find(job.id).job.status, find(job.id).job.attempt) == ("queued", 0)
