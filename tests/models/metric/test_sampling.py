import numpy as np
import pytest

from models.metric.sampling import PeopleBatches

# Photos of six people: of five, one, two, three, four and two.
PERSON = np.repeat([7, 3, 9, 1, 4, 5], [5, 1, 2, 3, 4, 2])


def epoch(seed=0, people=2, photos=3):
    return list(PeopleBatches(PERSON, people, photos).epoch(np.random.default_rng(seed)))


def test_a_batch_is_people_of_so_many_photos_each():
    for batch in epoch():
        assert [len(set(PERSON[batch[k : k + 3]])) for k in (0, 3)] == [1, 1]
        assert len(set(PERSON[batch])) == 2


def test_an_epoch_shows_nobody_more_often_than_there_are_photos_for():
    for seed in range(20):
        shown = [who for batch in epoch(seed, people=3, photos=2) for who in set(PERSON[batch].tolist())]
        turns = {who: shown.count(who) for who in set(PERSON.tolist())}
        assert turns[3] == 0
        assert all(turns[who] <= most for who, most in {7: 3, 9: 1, 1: 2, 4: 2, 5: 1}.items())
        assert sum(turns.values()) >= 6  # of nine turns that there are, at least two batches


def test_two_turns_of_one_person_share_no_photo_while_there_are_others():
    for seed in range(20):
        seen = [photo for batch in epoch(seed, people=2, photos=2) for photo in batch.tolist() if PERSON[photo] == 4]
        assert len(set(seen)) == len(seen)


def test_a_photo_is_repeated_only_where_there_are_too_few():
    for seed in range(20):
        for batch in epoch(seed, people=5):
            for k in range(0, 15, 3):
                part = batch[k : k + 3]
                assert len(set(part)) == min(3, (PERSON[part[0]] == PERSON).sum())


def test_over_many_epochs_everybody_and_every_photo_comes():
    seen = {photo for seed in range(100) for batch in epoch(seed, people=4) for photo in batch.tolist()}
    assert seen == set(np.flatnonzero(PERSON != 3).tolist())


def test_the_same_seed_gives_the_same_batches():
    first, second = ([batch.tolist() for batch in epoch(8)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("people", "photos"), [(6, 2), (1, 3), (3, 1), (0, 0)])
def test_one_that_could_yield_nothing_says_so_at_once(people, photos):
    with pytest.raises(ValueError, match="batch"):
        epoch(people=people, photos=photos)


def test_nobody_at_all_is_refused():
    with pytest.raises(ValueError, match="0 people"):
        PeopleBatches([], 2, 2)
