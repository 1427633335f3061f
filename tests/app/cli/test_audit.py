import sqlite3

import pytest

from app.assembly.parts import open_store
from app.settings import Settings


@pytest.fixture
def trail(onelook, home):
    """A home with two keys made on the command line, and so with a trail of three rows."""
    for name in ("door", "gate"):
        assert onelook("keys", "make", "--name", name, "--scope", "verify").exit_code == 0
    return home


@pytest.fixture
def tamper(trail):
    def run(*statements):
        connection = sqlite3.connect(trail / "onelook.db", isolation_level=None)
        for statement in ("DROP TRIGGER audit_unchanged", "DROP TRIGGER audit_kept", *statements):
            connection.execute(statement)
        connection.close()

    return run


def test_lists_what_was_done_on_the_command_line_as_local(onelook, trail):
    answer = onelook("audit", "list")
    assert answer.exit_code == 0
    lines = [line for line in answer.output.splitlines() if "key.made" in line]
    assert len(lines) == 3
    assert all("local" in line for line in lines)
    assert "key.made" not in onelook("audit", "list", "--actor", "service").output
    assert onelook("audit", "list", "--limit", 1).output.count("key.made") == 1
    assert "key.made" not in onelook("audit", "list", "--until", "2020-01-01T00:00:00Z").output
    assert onelook("audit", "list", "--since", "2020-01-01T00:00:00Z").output.count("key.made") == 3


def test_a_trail_as_it_was_written_is_ok(onelook, trail):
    answer = onelook("audit", "verify")
    assert (answer.exit_code, answer.output) == (0, "3 rows, 1 to 3: ok\n")


def test_an_edited_row_is_named_and_the_status_says_so(onelook, tamper):
    tamper("UPDATE audit SET actor = 'somebody' WHERE seq = 2")
    answer = onelook("audit", "verify")
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [
        "row 2: edited: the row is not what was written",
        "3 rows, 1 to 3: NOT as written",
    ]


def test_a_cut_tail_shows_against_a_head_that_was_kept(onelook, tamper, tmp_path):
    kept = tmp_path / "head"
    kept.write_text(onelook("audit", "head").output)
    assert onelook("audit", "verify", "--head", kept).exit_code == 0
    tamper("DELETE FROM audit WHERE seq = 3")
    assert onelook("audit", "verify").exit_code == 0
    answer = onelook("audit", "verify", "--head", kept)
    assert answer.exit_code == 1
    assert "row 3: cut" in answer.output


@pytest.mark.parametrize("content", ["", "no head", "1.2.3"])
def test_refuses_a_file_that_holds_no_head(onelook, trail, tmp_path, content):
    path = tmp_path / "head"
    path.write_text(content)
    answer = onelook("audit", "verify", "--head", path)
    assert answer.exit_code == 1
    assert "onelook audit head" in answer.output


def test_refuses_a_head_of_another_home(onelook, trail, tmp_path):
    other = open_store(Settings(home=tmp_path / "other"))
    with other.read() as uow:
        token = uow.audit.chain.sign_head(uow.audit.last()).token
    other.close()
    path = tmp_path / "head"
    path.write_text(token)
    answer = onelook("audit", "verify", "--head", path)
    assert answer.exit_code == 1
    assert "not signed by this service" in answer.output
