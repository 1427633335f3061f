import csv
import json
import signal
import stat
import time

import pytest
from PIL import Image, ImageEnhance

from app.cli.home import open_rows
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
    assert "Zoe (zoe, similarity 1.000)" in why["Zoe/1.jpg"]
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


def test_a_photo_whose_template_was_announced_but_never_stored_is_done(
    in_memory, onelook, folder, pictures, store, home
):
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    onelook("enroll", top)
    journal = home / "enroll-journal.jsonl"
    entry = json.loads(journal.read_text())
    # As a kill between the line and the commit leaves it, the last line cut short.
    journal.write_text(json.dumps({**entry, "template": "tpl_never"}) + '\n{"photo": "12')
    with store.write() as uow:
        uow.people.erase(next(p.id for p in uow.people.page(EVERYBODY, after=None, limit=1)))
        uow.commit()
    assert "1 persons enrolled" in onelook("enroll", top).stdout
    assert people(store) == {"Ada": ("Ada", 1)}
    assert "1 photos done before" in onelook("enroll", top).stdout


def test_the_journal_is_ours_alone_and_names_nobody(in_memory, onelook, folder, pictures, home):
    top = folder("Ada_Lovelace", "portrait.jpg", pictures.of("ada"))
    onelook("enroll", top)
    journal = home / "enroll-journal.jsonl"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    text = journal.read_text()
    assert set(json.loads(text)) == {"photo", "template"}
    assert not any(word in text for word in ("Ada", "Lovelace", "portrait"))


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


def test_refuses_to_work_beside_another_enrolment(in_memory, onelook, folder, pictures, home, store):
    from app.cli.journal import Journal

    home.mkdir()
    top = folder("Ada", "1.jpg", pictures.of("ada"))
    with Journal(home / "enroll-journal.jsonl"):
        result = onelook("enroll", top)
    assert (result.exit_code, people(store)) == (1, {})
    assert "Another `onelook enroll` works on this home" in result.stderr


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_it_has_each_photo_once(start, folder, samples, home):
    photos = 24
    for number in range(photos):
        top = folder("Obama", f"{number}.jpg", b"")
        with Image.open(samples / f"obama-{2009 if number % 2 else 2012}.jpg") as picture:
            small = picture.convert("RGB").resize((240, 300))
        ImageEnhance.Brightness(small).enhance(0.9 + number / 200).save(top / "Obama" / f"{number}.jpg")
    journal = home / "enroll-journal.jsonl"
    running = start("enroll", top, precision="float32")
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    with open_rows(Settings(home=home)) as store:
        before = people(store)["Obama"][1]
    assert 0 < before < photos
    again = start("enroll", top, precision="float32")
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (
        0,
        f"0 persons enrolled, {photos - before} templates added, {before} photos done before, 0 refused\n",
    ), err
    with open_rows(Settings(home=home)) as store:
        assert people(store) == {"Obama": ("Obama", photos)}
