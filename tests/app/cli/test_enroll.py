import csv
import itertools
import signal
import sqlite3
import stat
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest
from PIL import Image, ImageEnhance

from app.cli.home import open_rows
from app.domain.gallery import NamedGallery
from app.ports import PersonFilter
from app.settings import Settings

EVERYBODY = PersonFilter()


@pytest.fixture
def folder(tmp_path):
    """A function that puts bytes into a person's folder."""
    top = tmp_path / "people"

    def put(person, name, content):
        (top / person).mkdir(parents=True, exist_ok=True)
        (top / person / name).write_bytes(content)
        return top

    return put


def people(store):
    with store.read() as uow:
        found = uow.people.page(EVERYBODY, after=None, limit=100)
        return {person.external_id: (person.name, len(uow.templates.of(person.id))) for person in found}


def test_a_folder_becomes_a_person_and_each_further_photo_a_template(in_memory, onelook, folder, pictures, store):
    folder("Ada_Lovelace", "1.jpg", pictures.of("ada"))
    folder("Ada_Lovelace", "2.jpg", pictures.of("ada", 0.9))
    top = folder("Bob", "1.jpg", pictures.of("bob"))
    result = onelook("enroll", top)
    assert (result.exit_code, result.stderr.count("refused")) == (0, 0)
    assert "2 persons enrolled, 1 templates added, 0 photos done before, 0 refused" in result.stdout
    assert people(store) == {"Ada_Lovelace": ("Ada Lovelace", 2), "Bob": ("Bob", 1)}


def test_the_first_photo_that_is_accepted_enrols(in_memory, onelook, folder, pictures, store):
    folder("Ada", "1.jpg", b"no picture")
    folder("Ada", "2.jpg", pictures.of("ada", quality=0.1))
    top = folder("Ada", "10.jpg", pictures.of("ada"))
    result = onelook("enroll", top)
    assert result.exit_code == 1
    assert "1 persons enrolled, 0 templates added, 0 photos done before, 2 refused" in result.stdout
    assert people(store) == {"Ada": ("Ada", 1)}


def test_says_of_each_refused_photo_why_and_writes_it_down(in_memory, onelook, folder, pictures, tmp_path, enrolled):
    enrolled("zoe")
    folder("Ada", "1.jpg", pictures.of("ada"))
    folder("Ada", "2.jpg", pictures.of("eve"))
    folder("Ada", "3.jpg", pictures.show())
    folder("Ada", "4.jpg", pictures.of("ada", quality=0.1))
    top = folder("Zoe", "1.jpg", pictures.of("zoe"))
    (top / "stray.jpg").write_bytes(b"x")
    (top / ".hidden").write_bytes(b"x")
    (top / "Ada" / "more").mkdir()
    report = tmp_path / "refused.csv"
    result = onelook("enroll", top, "--report", report)
    assert result.exit_code == 1
    with report.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["photo"]: row["code"] for row in rows} == {
        "Ada/2.jpg": "not_same_person",
        "Ada/3.jpg": "no_face",
        "Ada/4.jpg": "poor_quality",
        "Ada/more": "misplaced",
        "Zoe/1.jpg": "duplicate_person",
        "stray.jpg": "misplaced",
    }
    assert all(row["photo"] in result.stdout for row in rows)
    why = {row["photo"]: row["why"] for row in rows}
    assert "the face is blurred" in why["Ada/4.jpg"]
    assert "Zoe (zoe), similarity 1.000" in why["Zoe/1.jpg"]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_what_was_done_is_not_done_again_and_what_was_refused_is(in_memory, onelook, folder, pictures, store, reader):
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    folder("Ada", "2.jpg", b"no picture")
    assert onelook("enroll", top).exit_code == 1
    folder("Ada", "2.jpg", pictures.of("ada", 0.95))
    asked = len(reader.asked)
    result = onelook("enroll", top)
    assert result.exit_code == 0
    assert "0 persons enrolled, 1 templates added, 1 photos done before, 0 refused" in result.stdout
    assert len(reader.asked) == asked + 1
    assert people(store) == {"Ada": ("Ada", 2)}


def test_a_photo_renamed_or_given_twice_is_the_same_photo(in_memory, onelook, folder, pictures, store):
    image = pictures.of("ada")
    top = folder("Ada", "1.jpg", image)
    folder("Ada", "copy.jpg", image)
    assert "0 templates added, 1 photos done before" in onelook("enroll", top).stdout
    (top / "Ada" / "1.jpg").rename(top / "Ada" / "first.jpg")
    assert "2 photos done before" in onelook("enroll", top).stdout
    assert people(store) == {"Ada": ("Ada", 1)}


def test_whoever_was_erased_does_not_come_back_by_running_it_again(in_memory, onelook, folder, pictures, store):
    folder("Ada", "1.jpg", pictures.of("ada"))
    folder("Ada", "2.jpg", b"no picture")
    top = folder("Bob", "1.jpg", pictures.of("bob"))
    onelook("enroll", top)
    with store.write() as uow:
        ada = next(p.id for p in uow.people.page(EVERYBODY, after=None, limit=9) if p.external_id == "Ada")
        uow.batches.erase(ada)
        uow.people.erase(ada)
        uow.commit()
    result = onelook("enroll", top)
    assert (
        "0 persons enrolled, 0 templates added, 1 photos done before, 0 refused, "
        "2 passed over because their people were erased meanwhile" in result.stdout
    )
    assert people(store) == {"Bob": ("Bob", 1)}


def test_everybody_is_enrolled_into_the_galleries_that_are_named(in_memory, onelook, folder, pictures, store, clock):
    with store.write() as uow:
        uow.galleries.add(NamedGallery("north", "North", clock.now()))
        uow.commit()
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    assert onelook("enroll", top, "--gallery", "south").exit_code == 1
    assert onelook("enroll", top, "--gallery", "north", "--consent", "contract").exit_code == 0
    with store.read() as uow:
        (ada,) = uow.people.page(EVERYBODY, after=None, limit=9)
        assert (uow.galleries.of(ada.id), ada.consent) == (("north",), "contract")


def test_a_hostile_name_does_not_reach_the_terminal(in_memory, onelook, folder, pictures):
    top = folder("Ada", "\x1b[2Jred[bold].jpg", b"no picture")
    result = onelook("enroll", top)
    assert result.exit_code == 1
    assert "\x1b[2J" not in result.output
    assert "red[bold].jpg" in result.stdout


def test_refuses_a_folder_without_people(in_memory, onelook, tmp_path):
    (tmp_path / "empty").mkdir()
    result = onelook("enroll", tmp_path / "empty")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "holds no folder with photos" in result.stderr


def test_refuses_to_work_beside_another_enrolment(in_memory, onelook, folder, pictures, store, clock):
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    onelook("enroll", top)
    with store.write() as uow:
        (job,) = uow.rows().jobs.values()
        uow.jobs.go_on(job.id, job.expires_at)
        until = clock.now() + timedelta(hours=1)
        uow.jobs.claim(job.kind, [job.id], token="another", now=clock.now(), until=until)
        uow.commit()
    ended = threading.Event()

    def renew():
        for number in itertools.count(1):
            if ended.wait(0.1):
                return
            with store.write() as uow:
                uow.jobs.beat(job.id, "another", until + timedelta(seconds=number))
                uow.commit()

    other = threading.Thread(target=renew)
    other.start()
    result = onelook("enroll", top)
    ended.set()
    other.join()
    assert result.exit_code == 1
    assert "Another `onelook enroll` works on this folder" in result.stderr


def test_server_and_key_belong_together(in_memory, onelook, folder, pictures):
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    for words in (("--server", "http://127.0.0.1:1"), ("--key", "olk_1_2")):
        result = onelook("enroll", top, *words)
        assert (result.exit_code, result.stderr) == (
            2,
            "onelook: --server and --key belong together: give both or none\n",
        )


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_it_has_each_photo_once(start, folder, samples, home):
    photos = 24
    for number in range(photos):
        top = folder("Obama", f"{number}.jpg", b"")
        with Image.open(samples / f"obama-{2009 if number % 2 else 2012}.jpg") as picture:
            small = picture.convert("RGB").resize((240, 300))
        ImageEnhance.Brightness(small).enhance(0.9 + number / 200).save(top / "Obama" / f"{number}.jpg")
    running = start("enroll", top, precision="float32")
    deadline = time.monotonic() + 60
    while templates(home) < 3:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = templates(home)
    assert 0 < before < photos
    again = start("enroll", top, precision="float32")
    out, err = again.communicate(timeout=90)
    assert (again.returncode, out) == (
        0,
        f"0 persons enrolled, {photos - before} templates added, {before} photos done before, 0 refused\n",
    ), err
    with open_rows(Settings(home=home)) as store:
        assert people(store) == {"Obama": ("Obama", photos)}


def templates(home):
    """How many are stored; 0 before there is a database."""
    try:
        with closing(sqlite3.connect(f"file:{home / 'onelook.db'}?mode=ro", uri=True)) as rows:
            return rows.execute("SELECT count(*) FROM templates").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
