import pytest

from app.assembly.parts import build_parts
from app.assembly.serving import Serving
from app.domain.model import Served
from app.errors import Misconfigured, NotReady
from app.inference import calibration
from app.store.opening import open_rows
from models import weights


class Reader:
    def __init__(self):
        self.told = []

    def serve(self, served):
        self.told.append(served)


@pytest.fixture
def ids():
    return [weights.model_id("onelook", flip=flip) for flip in (False, True)]


def test_reader_and_points_go_over_together(ids):
    reader, reports = Reader(), []
    serving = Serving(reader, calibration.of_model(ids[0]), reports.append)
    least = serving.least()
    serving.go_over(Served(ids[0], ids[1]))
    assert (serving.points.model_id, reader.told, reports) == (ids[0], [Served(ids[0], ids[1])], [])
    serving.go_over(Served(ids[1]))
    assert (serving.points.model_id, reader.told[-1]) == (ids[1], Served(ids[1]))
    assert reports == [f"{ids[1]} is served from now on"]
    assert serving.least() != least


def test_without_points_of_the_new_model_nothing_goes_over(ids):
    reader = Reader()
    serving = Serving(reader, calibration.of_model(ids[0]), pytest.fail)
    with pytest.raises(NotReady, match="sface-0 is served now"):
        serving.go_over(Served("sface-0"))
    assert (serving.points.model_id, reader.told) == (ids[0], [])


def stored(settings, pictures, model_id):
    """A home with one template of that model."""
    from app.clock import SystemClock
    from app.domain.person import Person, Template

    store, now, face = open_rows(settings), SystemClock().now(), pictures.face("ada")
    with store.write() as uow:
        uow.people.add(Person("ada", "Ada", now, now))
        uow.templates.add(Template("t1", "ada", model_id, face.quality, now, face.embedding))
        uow.commit()
    store.close()


def test_a_home_of_another_model_starts_with_its_own_and_says_so(settings, pictures, ids, capfd):
    stored(settings, pictures, ids[0])
    parts = build_parts(settings.model_copy(update={"precision": "float32"}))
    try:
        assert (parts.reader.model_id, parts.wanted_model_id) == tuple(ids)
        assert parts.calibration.model_id == ids[0]
        assert parts.gallery.served == Served(ids[0])
        assert parts.about.networks().flip_averaging is False
    finally:
        parts.close()
    assert f"{ids[1]} is wanted, and {ids[0]} is served until" in capfd.readouterr().err


def test_a_home_whose_model_is_not_here_is_refused(settings, pictures, ids):
    stored(settings, pictures, "sface-000000000000")
    with pytest.raises(Misconfigured, match=r"served by sface-000000000000.*weights of .* are not here"):
        build_parts(settings)


def test_an_encoder_that_is_not_here_is_refused(settings):
    with pytest.raises(Misconfigured, match="nobody"):
        build_parts(settings.model_copy(update={"model": "nobody"}))
