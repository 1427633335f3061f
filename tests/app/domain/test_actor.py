import contextvars
from concurrent.futures import ThreadPoolExecutor

from app.domain.actor import LOCAL, SERVICE, acting_as, current_actor, set_actor


def test_the_service_acts_where_nobody_else_was_named():
    assert contextvars.Context().run(current_actor) == SERVICE


def test_somebody_acts_inside_and_no_longer_afterwards():
    with acting_as("key1"):
        with acting_as(LOCAL):
            assert current_actor() == LOCAL
        assert current_actor() == "key1"
    assert current_actor() == SERVICE


def test_what_is_set_holds_for_its_context_alone():
    context = contextvars.copy_context()
    context.run(set_actor, "key1")
    assert context.run(current_actor) == "key1"
    assert current_actor() == SERVICE


def test_a_thread_sees_the_actor_when_it_gets_the_context():
    with ThreadPoolExecutor(1) as pool, acting_as("key1"):
        assert pool.submit(contextvars.copy_context().run, current_actor).result() == "key1"
        assert pool.submit(current_actor).result() == SERVICE
