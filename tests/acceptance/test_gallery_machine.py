"""A gallery under any order of events, on every store and index, against a dictionary and a slow loop in float64."""

import shutil
import tempfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.domain.face import Quality
from app.domain.gallery import EVERYBODY, NamedGallery
from app.domain.person import Person, Template
from app.index import ENGINES
from app.index.compressed import CompressedIndex
from app.index.follow import FollowedGallery
from app.index.packed import Packing
from app.index.snapshot_file import SnapshotFile
from app.ports import VectorIndex
from app.settings import Settings
from app.store.migrate import migrate
from app.store.opening import open_vault
from app.store.pgvector.search import PgVectorGallery
from app.store.pgvector.table import keep_vectors
from app.store.unit_of_work import SqlStore
from app.store.vault.rotation import rotate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)
MODELS = ("model-a", "model-b")
GALLERIES = ("floor-1", "floor-2")
# So that codes are made and dropped within a run.
SMALL = Packing(bound=16)


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class GalleryMachine(RuleBasedStateMachine):
    """The truth is `self.enrolled`: (person, template, model) -> seed of the vector; and `self.members`."""

    def __init__(self, make_index: Callable[[], VectorIndex], empty_database: Callable[[], str | None]) -> None:
        super().__init__()
        self.make_index = make_index
        self.home = Path(tempfile.mkdtemp())
        self.settings = Settings(home=self.home, database_url=empty_database())
        self.model = MODELS[0]
        self.number = 0
        self.enrolled: dict[tuple[str, str, str], int] = {}
        self.erased: dict[str, list[int]] = {}
        self.members: set[tuple[str, str]] = set()
        self.reports: list[str] = []
        migrate(self.settings.sqlalchemy_url())
        self.store, self.gallery = self.start()

    def start(self) -> tuple[SqlStore, FollowedGallery]:
        store = SqlStore(self.settings.sqlalchemy_url(), open_vault(self.settings))
        key = store.vault.secret("snapshot")
        snapshots = SnapshotFile(self.home / "snapshots", self.model, key, self.reports.append)
        gallery = FollowedGallery(store, self.make_index, self.model, self.reports.append, snapshots)
        gallery.rebuild()
        return store, gallery

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.home)

    @initialize()
    def galleries(self) -> None:
        with self.store.write() as uow:
            for id_ in GALLERIES:
                uow.galleries.add(NamedGallery(id_, id_, NOW))
            uow.commit()

    @rule(templates=st.integers(1, 3), galleries=st.sets(st.sampled_from(GALLERIES)))
    def enrol(self, templates: int, galleries: set[str]) -> None:
        self.number += 1
        person = f"p{self.number}"
        with self.store.write() as uow:
            uow.people.add(Person(person, person, NOW, NOW))
            for gallery in galleries:
                uow.galleries.join(gallery, person)
                self.members.add((gallery, person))
            for n in range(templates):
                self.add(uow, person, f"{person}-{n}")
            uow.commit()

    def add(self, uow, person: str, template: str) -> None:
        seed = zlib.crc32(f"{template} {self.model}".encode())
        uow.templates.add(Template(template, person, self.model, QUALITY, NOW, unit(seed)))
        self.enrolled[person, template, self.model] = seed

    @precondition(lambda self: self.enrolled)
    @rule(data=st.data())
    def erase(self, data) -> None:
        person = data.draw(st.sampled_from(sorted({key[0] for key in self.enrolled})))
        with self.store.write() as uow:
            uow.people.erase(person)
            uow.commit()
        self.erased[person] = [seed for key, seed in self.enrolled.items() if key[0] == person]
        self.enrolled = {key: seed for key, seed in self.enrolled.items() if key[0] != person}
        self.members = {pair for pair in self.members if pair[1] != person}

    @precondition(lambda self: self.enrolled)
    @rule(data=st.data())
    def forget_one_template(self, data) -> None:
        person, template, model = data.draw(st.sampled_from(sorted(self.enrolled)))
        with self.store.write() as uow:
            assert uow.templates.remove(person, template)
            uow.commit()
        # Its person stays, and is known to the truth only by further templates.
        self.erased.setdefault(person, []).append(self.enrolled.pop((person, template, model)))

    @precondition(lambda self: self.enrolled)
    @rule(data=st.data(), gallery=st.sampled_from(GALLERIES), joins=st.booleans())
    def move(self, data, gallery: str, joins: bool) -> None:
        person = data.draw(st.sampled_from(sorted({key[0] for key in self.enrolled})))
        with self.store.write() as uow:
            (uow.galleries.join if joins else uow.galleries.leave)(gallery, person)
            uow.commit()
        (self.members.add if joins else self.members.discard)((gallery, person))

    @rule()
    def keep_a_snapshot(self) -> None:
        self.gallery.catch_up()
        self.gallery.keep_snapshot()

    @rule(damage=st.none() | st.floats(0, 1, exclude_max=True))
    def restart(self, damage: float | None) -> None:
        self.store.close()
        for path in (self.home / "snapshots").glob("*.index"):
            if damage is not None:
                content = bytearray(path.read_bytes())
                content[int(damage * len(content))] ^= 0xFF
                path.write_bytes(bytes(content))
        self.store, self.gallery = self.start()

    @rule()
    def rotate_keys(self) -> None:
        rotate(self.store)

    @rule(model=st.sampled_from(MODELS))
    def change_model(self, model: str) -> None:
        self.store.close()
        self.model = model
        self.store, self.gallery = self.start()

    @rule(data=st.data(), gallery=st.sampled_from((EVERYBODY, *GALLERIES)))
    def search(self, data, gallery: str) -> None:
        seeds = sorted({*self.enrolled.values(), *(seed for gone in self.erased.values() for seed in gone), 1})
        seed, closeness = data.draw(st.sampled_from(seeds)), data.draw(st.sampled_from((1.0, 0.7)))
        probe = closeness * unit(seed) + np.sqrt(1 - closeness**2) * unit(seed + 1)
        probe = (probe / np.linalg.norm(probe)).astype(np.float32)
        self.gallery.catch_up()
        hits = self.gallery.search(probe, 5, gallery)
        truth = self.slowly(probe, gallery)
        assert [hit.similarity for hit in hits] == pytest.approx([s for s, _ in truth[:5]], abs=1e-6)
        known = {id_: similarity for similarity, id_ in truth}
        assert all(hit.similarity == pytest.approx(known[hit.template_id], abs=1e-6) for hit in hits)

    def slowly(self, probe: np.ndarray, gallery: str) -> list[tuple[float, str]]:
        found = []
        for (person, template, model), seed in self.enrolled.items():
            if model == self.model and (gallery == EVERYBODY or (gallery, person) in self.members):
                found.append((sum(float(a) * float(b) for a, b in zip(unit(seed), probe, strict=True)), template))
        return sorted(found, reverse=True)

    @invariant()
    def sizes_agree(self) -> None:
        self.gallery.catch_up()
        for gallery in (EVERYBODY, *GALLERIES):
            compared = [
                (person, template)
                for person, template, model in self.enrolled
                if model == self.model and (gallery == EVERYBODY or (gallery, person) in self.members)
            ]
            assert self.gallery.size(gallery) == (len({person for person, _ in compared}), len(compared))

    @invariant()
    def nothing_is_reported_but_damaged_snapshots(self) -> None:
        assert all("snapshot" in text for text in self.reports)


class SearchedDatabase(GalleryMachine):
    """The same, searched in the database; a graph is asked even for a few."""

    def start(self) -> tuple[SqlStore, PgVectorGallery]:
        store = SqlStore(self.settings.sqlalchemy_url(), open_vault(self.settings))
        keep_vectors(store)
        gallery = PgVectorGallery(store, self.model, self.reports.append, bound=-1)
        gallery.rebuild()
        return store, gallery


ENGINE = {**ENGINES, "compressed": lambda: CompressedIndex(packing=SMALL, start=lambda build: build())}


@pytest.mark.slow
@pytest.mark.parametrize("engine", sorted(ENGINE))
def test_a_gallery_on_sqlite_answers_as_the_oracle_whatever_happens(engine):
    _run(lambda: GalleryMachine(ENGINE[engine], lambda: None), examples=12)


@pytest.mark.slow
def test_a_gallery_on_postgresql_answers_as_the_oracle_whatever_happens(postgres_server, postgres_url):
    # A database of its own: what the keys in it are wrapped by is this test's, and each example's.
    def empty_database() -> str:
        postgres_server.do("DROP DATABASE IF EXISTS machine WITH (FORCE)")
        postgres_server.do("CREATE DATABASE machine OWNER onelook")
        return postgres_server.url("machine", user="onelook")

    _run(lambda: GalleryMachine(ENGINE["compressed"], empty_database), examples=5)
    postgres_server.do("DROP DATABASE machine WITH (FORCE)")


@pytest.mark.slow
def test_a_gallery_searched_in_postgresql_answers_as_the_oracle_whatever_happens(
    postgres_server,
    postgres_url,  # which makes the role
):
    def empty_database() -> str:
        postgres_server.do("DROP DATABASE IF EXISTS machine WITH (FORCE)")
        postgres_server.do("CREATE DATABASE machine OWNER onelook")
        postgres_server.do("CREATE EXTENSION vector", "machine")
        return postgres_server.url("machine", user="onelook")

    _run(lambda: SearchedDatabase(lambda: None, empty_database), examples=5)
    postgres_server.do("DROP DATABASE machine WITH (FORCE)")


def _run(machine: Callable[[], GalleryMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )
