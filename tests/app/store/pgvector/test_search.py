"""Searching inside the database: the promises of the followed index, kept by rows alone."""

import itertools
import re
from datetime import UTC, datetime

import numpy as np
import psycopg
import pytest

from app.domain.face import Quality
from app.domain.model import Embedded, ModelChanged, Served
from app.domain.person import Template
from app.errors import Misconfigured, StoreAway
from app.store.migrate import migrate
from app.store.pgvector import search as vector_search
from app.store.pgvector.search import PgVectorGallery
from app.store.pgvector.table import drop_vectors, fill, keep_vectors
from app.store.postgres import engine as postgres
from app.store.unit_of_work import SqlStore
from tests.app.index.test_follow_galleries import History, Office, agrees, held

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = Quality(0.9, (), 80, 0, 0, 0, 1, 1, 0)
ALWAYS_EXACT, NEVER_EXACT = 10**9, -1
numbers = itertools.count()


@pytest.fixture
def unit():
    def make(seed):
        vector = np.random.default_rng(seed).normal(size=128)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    return make


@pytest.fixture
def bare_url(postgres_server, postgres_url):
    """A database of its own, migrated, whose owner is nobody special; it has no extension."""
    name = f"searched{next(numbers)}"
    postgres_server.do(f"CREATE DATABASE {name} OWNER onelook")
    url = postgres_server.url(name, user="onelook")
    migrate(url)
    yield url
    postgres_server.do(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def searched_url(bare_url, postgres_server):
    postgres_server.do("CREATE EXTENSION vector", bare_url.rpartition("/")[2])
    return bare_url


@pytest.fixture
def stores(searched_url, make_vault):
    """Two stores on the same rows, as two processes have them."""
    both = SqlStore(searched_url, make_vault()), SqlStore(searched_url, make_vault())
    yield both
    for store in both:
        store.close()


@pytest.fixture
def store(stores):
    keep_vectors(stores[0])
    return stores[0]


@pytest.fixture
def office(store, unit):
    return Office(store, unit)


@pytest.fixture(params=[ALWAYS_EXACT, NEVER_EXACT], ids=["exact", "graph"])
def gallery(request, store):
    gallery = PgVectorGallery(store, "model", bound=request.param)
    gallery.rebuild()
    return gallery


def one(store, statement):
    with store.read() as uow:
        return uow.connection.exec_driver_sql(statement).scalar()


def found(gallery, vector, k=1):
    return [hit.template_id for hit in gallery.search(vector, k)]


def test_an_enrolment_is_found_and_an_erased_person_is_not_by_every_process_at_once(stores, store, gallery, unit):
    here, there = (Office(one, unit) for one in stores)
    elsewhere = PgVectorGallery(stores[1], "model", bound=ALWAYS_EXACT)
    for number in range(6):
        seq = (here, there)[number % 2].enrol(number)
        for one_gallery in (gallery, elsewhere):
            assert one_gallery.catch_up() == one_gallery.seq == seq
            assert found(one_gallery, unit(number)) == [f"t{number}"]
            assert one_gallery.size() == (number + 1, number + 1)
    there(lambda uow: uow.people.erase("p2"))
    for one_gallery in (gallery, elsewhere):
        one_gallery.catch_up()
        assert not one_gallery.holds_any(["t2", "t9"])
        assert one_gallery.holds_any(["t2", "t3"])
        assert "t2" not in found(one_gallery, unit(2), 9)
        assert one_gallery.size() == (5, 5)
    assert one(store, "SELECT count(*) FROM template_vectors") == 5


def test_an_empty_gallery_finds_nobody(gallery, unit):
    assert gallery.catch_up() == 0
    assert gallery.search(unit(1), 5) == gallery.search(unit(1), 5, "nowhere") == []
    assert gallery.size() == gallery.size("nowhere") == (0, 0)
    assert gallery.drop_snapshot() == 0
    assert not gallery.keep_snapshot()


def test_scores_are_the_inner_products_and_come_closest_first(office, gallery, unit):
    for number in range(30):
        office.enrol(number)
    gallery.catch_up()
    probe = unit(100)
    right = sorted(((float(unit(n).astype(np.float64) @ probe), f"t{n}") for n in range(30)), reverse=True)
    hits = gallery.search(probe, 12)
    assert [hit.template_id for hit in hits] == [id_ for _, id_ in right[:12]]
    assert [hit.similarity for hit in hits] == pytest.approx([score for score, _ in right[:12]], abs=1e-6)
    assert len(gallery.search(probe, 99)) == 30


def test_holds_only_its_own_model(office, gallery, unit):
    office.enrol(1)
    office(lambda uow: uow.templates.add(Template("old", "p1", "old", QUALITY, NOW, unit(2))))
    gallery.catch_up()
    assert gallery.size() == (1, 1)
    assert found(gallery, unit(2), 9) == ["t1"]


def test_a_template_that_becomes_somebody_elses_is_found_where_that_person_is(office, store, gallery, unit):
    office.open("a", "b")
    office.enrol(1, "a")
    office.enrol(2, "b")
    office.give(1, 2)
    gallery.catch_up()
    assert held(gallery, unit, "all", "a", "b") == {"all": ["t1", "t2"], "a": [], "b": ["t1", "t2"]}
    agrees(gallery, store, unit)
    assert gallery.size("b") == (1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_it_is_as_the_rows_have_it(office, store, gallery, unit, seed):
    history = History(office, seed)
    for _ in range(50):
        history.step()
        if history.rng.random() < 0.3:
            gallery.catch_up()
            agrees(gallery, store, unit)
    gallery.rebuild()
    agrees(gallery, store, unit)


def test_a_change_that_is_not_committed_is_not_seen(store, gallery, office, unit):
    office.enrol(1)
    with store.write() as uow:
        uow.people.erase("p1")
        assert found(gallery, unit(1)) == ["t1"]
    assert found(gallery, unit(1)) == ["t1"]


def test_the_first_start_fills_the_table_from_the_sealed_templates_and_says_which_cannot_be_opened(
    stores, unit, monkeypatch
):
    from app.store.pgvector import table as vector_table

    monkeypatch.setattr(vector_table, "PIECE", 3)
    store = stores[0]
    office = Office(store, unit)
    office.open("a")
    for number in range(8):
        office.enrol(number, *["a"][: number % 2])
    assert one(store, "SELECT to_regclass('template_vectors')") is None
    with store.write() as uow:
        uow.connection.exec_driver_sql("UPDATE templates SET sealed = '\\x00'::bytea WHERE id = 't5'")
        uow.commit()
    reports = []
    keep_vectors(store)
    gallery = PgVectorGallery(store, "model", reports.append)
    assert gallery.rebuild() == gallery.rebuild() == gallery.seq
    assert held(gallery, unit, "all", "a") == {
        "all": [f"t{n}" for n in range(8) if n != 5],
        "a": ["t1", "t3", "t7"],
    }
    assert [text.partition(" cannot")[0] for text in reports] == ["the template t5"]


def test_what_an_older_table_has_wrong_is_put_right_by_a_start(office, store, gallery, unit):
    office.open("a")
    office.enrol(1, "a")
    office.enrol(2)
    with store.write() as uow:
        uow.connection.exec_driver_sql("DELETE FROM template_vectors WHERE template_id = 't2'")
        uow.connection.exec_driver_sql("UPDATE template_vectors SET person_id = 'p2' WHERE template_id = 't1'")
        uow.commit()
    gallery.rebuild()
    agrees(gallery, store, unit)


def test_a_start_with_faiss_drops_the_table_and_the_service_that_still_uses_it_says_so(office, store, unit):
    reports = []
    gallery = PgVectorGallery(store, "model", reports.append)
    gallery.rebuild()
    office.enrol(1)
    assert drop_vectors(store, reports.append)
    assert not drop_vectors(store, reports.append)
    assert one(store, "SELECT count(*) FROM pg_class WHERE relname ~ 'template_vectors'") == 0
    for ask in (gallery.catch_up, lambda: gallery.search(unit(1), 1), lambda: gallery.holds_any(["t1"])):
        with pytest.raises(StoreAway):
            ask()
    assert len(reports) == 2
    assert "was dropped" in reports[0]
    assert "ONELOOK_SEARCH=faiss" in reports[1]
    # Enrolling goes on, and the next start with pgvector has everybody.
    office.enrol(2)
    keep_vectors(store)
    gallery.rebuild()
    seq = office.enrol(3)
    assert gallery.catch_up() == seq
    assert sorted(found(gallery, unit(1), 9)) == ["t1", "t2", "t3"]


def test_a_home_that_never_chose_it_has_no_vectors_and_needs_no_extension(bare_url, make_vault, unit):
    store = SqlStore(bare_url, make_vault())
    try:
        Office(store, unit).enrol(1)
        assert one(store, "SELECT count(*) FROM pg_class WHERE relname = 'template_vectors'") == 0
        assert one(store, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 0
        with pytest.raises(Misconfigured, match=re.escape("CREATE EXTENSION vector")):
            keep_vectors(store)
        assert one(store, "SELECT to_regclass('template_vectors')") is None
    finally:
        store.close()


def plan(url, vector, query):
    with psycopg.connect(url, autocommit=True) as connection:
        values = {"model": "model", "probe": str(vector.tolist()), "k": 5}
        statement = re.sub(r":(\w+)", r"%(\1)s", str(query))
        return "\n".join(row[0] for row in psycopg.ClientCursor(connection).execute(f"EXPLAIN {statement}", values))


@pytest.fixture
def crowded(store, searched_url):
    """A gallery of 4,000 templates, without the rows that they would have been sealed into."""
    chance = np.random.default_rng(4)
    vectors = chance.normal(size=(4000, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with psycopg.connect(searched_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE template_vectors DROP CONSTRAINT template_vectors_template_id_fkey")
        with connection.cursor().copy("COPY template_vectors FROM STDIN") as copy:
            for number, vector in enumerate(vectors):
                copy.write_row((f"t{number}", f"p{number}", "model", str(vector.tolist())))
        connection.execute("ANALYZE template_vectors")
    return vectors


def test_the_graph_answers_for_many_and_every_vector_is_compared_for_few(crowded, store, searched_url):
    reports = []
    gallery = PgVectorGallery(store, "model", reports.append, bound=100, least=lambda: 0.5)
    gallery.rebuild()
    assert "ix_template_vectors_graph" in plan(searched_url, crowded[7], vector_search.queries.NEAR)
    assert "ix_template_vectors_graph" not in plan(searched_url, crowded[7], vector_search.queries.EXACT)
    assert not gallery.exact
    for number in range(0, 4000, 400):
        assert found(gallery, crowded[number]) == [f"t{number}"]
    # More than the graph looks at: all are compared.
    assert len(gallery.search(crowded[1], 4000)) == 4000
    assert reports == []
    few = PgVectorGallery(store, "model", reports.append, bound=4000)
    assert few.exact
    assert few.check()


def test_a_graph_that_misses_somebody_is_reported_and_asked_no_more(
    crowded, store, searched_url, make_vault, monkeypatch
):
    # One candidate a layer, and no second look.
    monkeypatch.setattr(postgres, "SEARCHING", {"hnsw.ef_search": "1", "hnsw.iterative_scan": "off"})
    monkeypatch.setattr(vector_search, "CHECK_AFTER", 3)
    careless = SqlStore(searched_url, make_vault())
    reports, waiting = [], []
    fill(store, reports.append)
    gallery = PgVectorGallery(careless, "model", reports.append, bound=100, start=waiting.append)
    assert "graph (HNSW), scores exact" in gallery.engine()
    for _ in range(7):
        gallery.search(crowded[1], 1)
    assert not gallery.exact
    # Twice in seven searches, and never by the request itself.
    assert len(waiting) == 2
    waiting[0]()
    assert gallery.exact
    assert len(reports) == 1
    assert "REINDEX" in reports[0]
    assert "missed somebody" in gallery.engine()
    for number in range(0, 4000, 200):
        assert found(gallery, crowded[number]) == [f"t{number}"]
    assert len(waiting) == 2
    assert not gallery.check()
    careless.close()


def embed_next(store, unit, numbers):
    with store.write() as uow:
        uow.models.embed("next", [Embedded(f"t{number}", unit(number + 1000)) for number in numbers])
        uow.commit()


def cut_over(store):
    with store.write() as uow:
        uow.models.cut_over("next")
        uow.models.serve(Served("next"))
        return uow.commit()


def test_after_a_cut_over_every_process_searches_among_the_new_vectors(stores, store, gallery, office, unit):
    told = []
    elsewhere = PgVectorGallery(stores[1], "model", bound=ALWAYS_EXACT, on_model=told.append)
    for number in range(5):
        office.enrol(number)
    embed_next(store, unit, range(4))
    for one_gallery in (gallery, elsewhere):
        one_gallery.catch_up()
        # Vectors that are prepared lie beside, and are not searched.
        assert found(one_gallery, unit(2)) == ["t2"]
        assert all(hit.similarity < 0.9 for hit in one_gallery.search(unit(1002), 9))
        assert one_gallery.size() == (5, 5)
    seq = cut_over(store)
    assert found(elsewhere, unit(2)) == ["t2"]
    for one_gallery in (gallery, elsewhere):
        assert one_gallery.catch_up() == seq
        assert one_gallery.served == Served("next")
        assert found(one_gallery, unit(1002)) == ["t2"]
        assert one_gallery.size() == (4, 4)
        with pytest.raises(ModelChanged):
            one_gallery.search(unit(2), 1, model_id="model")
    assert told == [Served("next")]
    with store.write() as uow:
        # The vector of who was left behind stays that of the template.
        assert uow.models.forget_clear() == 4
        uow.commit()
    assert one(store, "SELECT count(*) FROM template_vectors") == 5
    assert found(gallery, unit(1003)) == ["t3"]


def test_what_was_embedded_before_vectors_lay_in_clear_is_there_after_the_cut_over(store, office, unit):
    office.enrol(1)
    drop_vectors(store, lambda text: None)
    embed_next(store, unit, [1])
    keep_vectors(store)
    gallery = PgVectorGallery(store, "model", bound=ALWAYS_EXACT)
    gallery.rebuild()
    cut_over(store)
    gallery.catch_up()
    assert found(gallery, unit(1001)) == ["t1"]


def test_whoever_is_erased_while_the_next_model_is_prepared_has_no_vector_of_either(store, gallery, office, unit):
    office.enrol(1)
    embed_next(store, unit, [1])
    assert one(store, "SELECT count(*) FROM template_vectors") == 2
    office(lambda uow: uow.people.erase("p1"))
    assert one(store, "SELECT count(*) FROM template_vectors") == 0


def test_a_table_of_a_version_with_one_vector_each_takes_those_of_the_next_model_too(store, office, unit):
    office.enrol(1)
    with store.write() as uow:
        uow.connection.exec_driver_sql(
            "ALTER TABLE template_vectors DROP CONSTRAINT template_vectors_pkey, ADD PRIMARY KEY (template_id)"
        )
        uow.commit()
    keep_vectors(store)
    embed_next(store, unit, [1])
    assert one(store, "SELECT count(*) FROM template_vectors") == 2
    keep_vectors(store)
