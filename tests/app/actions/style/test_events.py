import pytest

from app.actions.style.events import StyleEventsAfter
from app.errors import UnknownJob


def test_gives_what_followed(asked, claim, run, events):
    job = asked()
    run(claim())
    whole = events(job.id)
    assert (whole.first, whole.last, whole.job.ended) == (1, len(whole.events), True)
    assert events(job.id, after=3).events == whole.events[3:]
    assert events(job.id, after=3, limit=2).events == whole.events[3:5]
    assert events(job.id, after=whole.last).events == []
    assert events(job.id, after=10**9).events == []


def test_says_from_where_on_none_is_missing(asked, claim, run, events):
    job = asked(steps=300)
    run(claim())
    told = events(job.id)
    assert told.first > 1
    kept = [event.seq for event in told.events if event.seq >= told.first]
    assert kept == list(range(told.first, told.last + 1))
    assert told.events[0].type == "status"


def test_only_its_owner_hears_of_it(asked, store, key):
    job = asked()
    with pytest.raises(UnknownJob):
        StyleEventsAfter(store)(job.id, key("k2"))
