from dataclasses import replace

import pytest

from app.actions.models import settle_model
from app.domain.model import Served
from app.errors import Misconfigured


def served(store):
    with store.read() as uow:
        return uow.models.served()


def head(store):
    with store.read() as uow:
        return uow.changes.head()


@pytest.fixture
def add_of(store):
    """One more template of a person, by that model."""

    def add(person_id, model_id):
        with store.write() as uow:
            first = uow.templates.of(person_id)[0]
            uow.templates.add(replace(first, id=f"{first.id}-{model_id}", model_id=model_id))
            uow.commit()

    return add


def test_an_empty_home_takes_what_is_wanted_and_another_one_later(store):
    assert settle_model(store, "model-a") == served(store) == Served("model-a")
    assert settle_model(store, "model-b") == served(store) == Served("model-b")


def test_a_home_of_an_earlier_version_is_served_by_the_model_of_its_templates(store, enrolled):
    enrolled("ann")
    assert served(store) is None
    assert settle_model(store, "model-b") == served(store) == Served("model-a")


def test_a_home_with_templates_never_switches_on_its_own(store, enrolled):
    settle_model(store, "model-a")
    enrolled("ann")
    before = head(store)
    assert settle_model(store, "model-b") == Served("model-a")
    assert (served(store), head(store)) == (Served("model-a"), before)


def test_what_is_prepared_stays_so(store, enrolled):
    enrolled("ann")
    with store.write() as uow:
        uow.models.serve(Served("model-a", "model-b"))
        uow.commit()
    for wanted in ("model-a", "model-b", "model-c"):
        assert settle_model(store, wanted) == Served("model-a", "model-b")


def test_a_home_of_several_models_that_does_not_say_which_is_refused(store, enrolled, add_of):
    enrolled("ann")
    add_of("ann", "model-b")
    with pytest.raises(Misconfigured, match="model-a, model-b"):
        settle_model(store, "model-a")


def test_who_was_left_behind_keeps_a_home_from_switching_too(store, enrolled):
    enrolled("ann")
    with store.write() as uow:
        uow.models.serve(Served("model-b"))
        uow.commit()
    assert settle_model(store, "model-c") == Served("model-b")
