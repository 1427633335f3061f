import math
from datetime import UTC, datetime

import numpy as np
import pytest

from app.actions.ranking import rank
from app.domain.gallery import NamedGallery
from app.domain.model import ModelChanged
from app.ports import Hit

MODEL = "model-a"


class Searched:
    """A gallery that answers with what it was given, and notes how many were asked for."""

    def __init__(self, hits):
        self.hits, self.asked = hits, []

    def search(self, vector, k, among="all", *, model_id=None):
        self.asked.append(k)
        return self.hits[:k]


def test_asks_for_more_only_until_enough_persons_are_found(enrolled, store):
    for i in range(30):
        enrolled(f"p{i:02}")
    with store.read() as uow:
        hits = [Hit(t.id, 0.9 - i / 100) for i, t in enumerate(uow.templates.of_model("model-a"))]
    gallery = Searched(hits)
    assert len(rank(store, gallery, np.zeros(128, np.float32), 2, model_id=MODEL)) == 2
    assert gallery.asked == [8]


def test_stops_when_the_index_is_exhausted(enrolled, store):
    gallery = Searched([Hit(f"gone{i}", 0.9) for i in range(20)])
    assert rank(store, gallery, np.zeros(128, np.float32), 2, model_id=MODEL) == []
    assert gallery.asked == [8, 32]


def test_leaves_out_what_is_below_the_floor_and_what_is_no_number(enrolled, store):
    enrolled("ann")
    enrolled("bob")
    with store.read() as uow:
        ann, bob = (uow.templates.of(who)[0].id for who in ("ann", "bob"))
    for similarity in (0.4, math.nan, math.inf):
        gallery = Searched([Hit(ann, 0.6), Hit(bob, similarity)])
        found = rank(store, gallery, np.zeros(128, np.float32), 2, model_id=MODEL, at_least=0.5)
        assert [c.person.id for c in found] == ["ann"]


def test_counts_who_may_match_unless_told_otherwise(enrolled, store, change):
    change(enrolled("ann"), active=False)
    with store.read() as uow:
        gallery = Searched([Hit(uow.templates.of("ann")[0].id, 0.9)])
    vector = np.zeros(128, np.float32)
    assert rank(store, gallery, vector, 1, model_id=MODEL) == []
    assert [c.person.id for c in rank(store, gallery, vector, 1, model_id=MODEL, counts=lambda p: True)] == ["ann"]


def test_looks_only_among_the_members_of_the_gallery_that_is_named(enrolled, store, gallery, pictures):
    with store.write() as uow:
        uow.galleries.add(NamedGallery("lab", "Lab", datetime(2030, 1, 1, tzinfo=UTC)))
        uow.commit()
    enrolled("ann", galleries=("lab",))
    enrolled("bob")
    gallery.catch_up()
    bob = pictures.axis("bob")
    assert [c.person.id for c in rank(store, gallery, bob, 2, model_id=MODEL)] == ["bob", "ann"]
    assert [c.person.id for c in rank(store, gallery, bob, 2, model_id=MODEL, among="lab")] == ["ann"]
    assert rank(store, gallery, bob, 2, model_id=MODEL, among="nowhere") == []


def test_searches_for_no_vector_of_another_model_than_the_one_that_is_served(enrolled, store, gallery, pictures):
    enrolled("ann")
    with pytest.raises(ModelChanged):
        rank(store, gallery, pictures.axis("ann"), 1, model_id="model-b")
