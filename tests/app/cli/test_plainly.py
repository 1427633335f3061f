import subprocess
import sys

import pytest

from app.cli.plainly import shown


def test_help_loads_nothing_heavy(root):
    heavy = "{'torch', 'faiss', 'fastapi', 'sqlalchemy', 'uvicorn', 'PIL'}"
    code = f"import sys, app.cli; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=30)


def test_names_every_verb(onelook):
    text = onelook("--help").stdout
    verbs = ("serve", "migrate", "enroll", "verify", "identify", "detect", "keys", "doctor", "evaluate")
    assert all(f"\n  {verb} " in text for verb in verbs)


def test_an_unknown_verb_is_a_mistake_of_usage(onelook):
    assert onelook("enrol").exit_code == 2


@pytest.mark.parametrize("words", [("migrate",), ("keys", "list"), ("evaluate", "lfw"), ("identify", "README.md")])
def test_bad_settings_are_one_sentence_in_every_verb(onelook, root, monkeypatch, words):
    monkeypatch.chdir(root)
    monkeypatch.setenv("ONELOOK_PORT", "many")
    result = onelook(*words)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("onelook: ONELOOK_PORT: ")


def test_a_fault_of_our_own_is_told_without_its_text(in_memory, onelook, root, pictures, tmp_path, reader):
    def fail():
        raise RuntimeError("secret-thing")

    reader.before_reading = fail
    image = tmp_path / "1.jpg"
    image.write_bytes(pictures.of("ada"))
    result = onelook("identify", image)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "RuntimeError at" in result.stderr
    assert "secret-thing" not in result.stderr


def test_a_home_that_cannot_be_made_is_one_sentence(onelook, home):
    home.write_text("a file")
    result = onelook("keys", "list")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert str(home) in result.stderr


def test_shows_names_without_what_a_terminal_obeys():
    assert shown("a\x1b[31mb\nc\u202ed\udcff") == "a\ufffd[31mb c\ufffdd\ufffd"
