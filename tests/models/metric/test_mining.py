import pytest
import torch

from models.metric.distance import squared_distances
from models.metric.mining import mine


def numbers(triplets):
    return list(zip(*(part.tolist() for part in triplets), strict=True))


def genuine(person):
    count = len(person)
    return [(a, p) for a in range(count) for p in range(count) if a != p and person[a] == person[p]]


@pytest.fixture
def distances(embeddings):
    return squared_distances(embeddings(12)).detach()


@pytest.mark.parametrize("alpha", [0.02, 0.35, 4.0])
def test_semi_hard_is_what_a_loop_over_all_triplets_finds(distances, person, alpha):
    wanted = []
    for a, p in genuine(person):
        band = [
            n
            for n in range(12)
            if person[n] != person[a] and distances[a, p] < distances[a, n] < distances[a, p] + alpha
        ]
        if band:
            wanted.append((a, p, min(band, key=lambda n: float(distances[a, n]))))
    assert numbers(mine("semi-hard", distances, person, alpha, torch.Generator())) == wanted


def test_hard_is_what_a_loop_over_all_triplets_finds(distances, person):
    wanted = []
    for a in range(12):
        own = [p for p in range(12) if p != a and person[p] == person[a]]
        others = [n for n in range(12) if person[n] != person[a]]
        if own:
            farthest = max(own, key=lambda p: float(distances[a, p]))
            wanted.append((a, farthest, min(others, key=lambda n: float(distances[a, n]))))
    assert numbers(mine("hard", distances, person, 0.35, torch.Generator())) == wanted


def test_random_takes_every_pair_once_and_any_stranger(distances, person):
    seen = set()
    for seed in range(200):
        triplets = numbers(mine("random", distances, person, 0.35, torch.Generator().manual_seed(seed)))
        assert [(a, p) for a, p, _ in triplets] == genuine(person)
        assert all(person[n] != person[a] for a, _, n in triplets)
        seen |= {n for a, p, n in triplets if (a, p) == (0, 1)}
    assert seen == set(range(3, 12))


@pytest.mark.parametrize("how", ["random", "semi-hard", "hard"])
def test_the_same_seed_chooses_the_same(distances, person, how):
    first, second = (numbers(mine(how, distances, person, 0.35, torch.Generator().manual_seed(5))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("how", ["random", "semi-hard", "hard"])
@pytest.mark.parametrize("of", [[0, 0, 0], [0, 1, 2], []], ids=["nobody else", "no second photo", "nothing"])
def test_where_there_is_no_triplet_none_is_made_up(embeddings, how, of):
    distances = squared_distances(embeddings(3))[: len(of), : len(of)]
    assert numbers(mine(how, distances, torch.tensor(of, dtype=torch.int64), 4.0, torch.Generator())) == []


def test_no_gradient_flows_through_the_choice(embeddings, person):
    distances = squared_distances(embeddings(12))
    anchor, positive, negative = mine("hard", distances, person, 0.35, torch.Generator())
    assert not any(part.requires_grad for part in (anchor, positive, negative))
