"""Zips and lines from outside: what is taken, and what is refused, item by item or as a whole."""

import io
import struct
import zipfile
import zlib

import pytest

from app.domain.batch import Place
from app.errors import BatchTooLarge, UnreadableBatch, UnreadableEntry
from app.store.files.batch_file import Limits, list_folders, list_lines, unpacked

LIMITS = Limits(items=50, photo_bytes=10_000, bytes=100_000)


def zipped(*entries, method=zipfile.ZIP_DEFLATED, comment=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for entry, content in entries:
            file.writestr(entry, content)
        file.comment = comment
    return out.getvalue()


def folders(content, limits=LIMITS):
    return list_folders(io.BytesIO(content), limits)[0]


def photos(content):
    """Path -> content of everything that would be taken."""
    return {
        item.source: unpacked(content[item.place.data : item.place.end], item.place)
        for item in folders(content)
        if item.status == "pending"
    }


def refused(content, limits=LIMITS):
    return {item.source: item.code for item in folders(content, limits) if item.status == "refused"}


def link(path):
    info = zipfile.ZipInfo(path)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_folder_is_a_person_and_photos_come_in_natural_order(method):
    content = zipped(("Bob/1.jpg", b"b"), ("Ada/10.jpg", b"x"), ("Ada/2.jpg", b"a" * 500), ("Ada/", b""), method=method)
    assert list(photos(content).items()) == [("Ada/2.jpg", b"a" * 500), ("Ada/10.jpg", b"x"), ("Bob/1.jpg", b"b")]
    found = folders(content)
    assert [item.number for item in found] == [0, 1, 2]
    assert [item.person for item in found] == [0, 0, 2]


def test_reads_what_was_written_in_a_stream_and_what_has_a_comment():
    out = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            return out.write(data)

    with zipfile.ZipFile(io.BufferedWriter(Pipe()), "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Ada/1.jpg", b"abc")
    assert photos(out.getvalue()) == {"Ada/1.jpg": b"abc"}
    assert photos(zipped(("Ada/1.jpg", b"abc"), comment=b"made by PK\5\6 somebody")) == {"Ada/1.jpg": b"abc"}


def test_reads_the_long_numbers_of_large_zips():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file, file.open("Ada/1.jpg", "w", force_zip64=True) as entry:
        entry.write(b"abc")
    assert photos(out.getvalue()) == {"Ada/1.jpg": b"abc"}


def test_reads_the_last_record_of_large_zips():
    content = zipped(("Ada/1.jpg", b"abc"), ("Bob/1.jpg", b"def"))
    end = content.rindex(b"PK\5\6")
    length, begin = struct.unpack_from("<2L", content, end + 12)
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, length, begin)
    large += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    large += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert photos(content[:end] + large) == {"Ada/1.jpg": b"abc", "Bob/1.jpg": b"def"}


def test_a_folder_around_all_of_them_is_passed_over():
    inner = [("people/Ada/1.jpg", b"a"), ("people/Bob/1.jpg", b"b")]
    assert list(photos(zipped(*inner))) == ["Ada/1.jpg", "Bob/1.jpg"]
    assert refused(zipped(*inner, ("Eve/1.jpg", b"e"))) == {
        "people/Ada/1.jpg": "misplaced",
        "people/Bob/1.jpg": "misplaced",
    }


def test_what_systems_leave_behind_is_passed_over():
    noise = ["__MACOSX/Ada/._1.jpg", "Ada/.DS_Store", "Ada/Thumbs.db", ".hidden/1.jpg", "desktop.ini"]
    assert [item.source for item in folders(zipped(("Ada/1.jpg", b"a"), *((path, b"x") for path in noise)))] == [
        "Ada/1.jpg"
    ]


def test_names_are_read_in_whatever_way_they_are_written():
    content = zipped(("Zoë/1.jpg", b"z"))
    assert list(photos(content)) == ["Zoë/1.jpg"]
    raw = zipped(("Zo_/1.jpg", b"z")).replace(b"Zo_", b"Zo\x89")  # cp437, without the mark of UTF-8
    assert list(photos(raw)) == ["Zoë/1.jpg"]
    assert list(photos(zipped(("Ada\\1.jpg", b"a")))) == ["Ada/1.jpg"]


@pytest.mark.parametrize(
    "path",
    [
        "/Ada/1.jpg",
        "/etc",
        "Ada/../1.jpg",
        "../1.jpg",
        "..\\1.jpg",
        "../../Ada/1.jpg",
        "./1.jpg",
        "Ada//1.jpg",
        "C:\\1.jpg",
        "C:/1.jpg",
        "Ada/\x1b[2J.jpg",
        "Ada/" + "x" * 400,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path):
    codes = refused(zipped((path, b"x"), ("Bob/1.jpg", b"b")))
    assert list(codes.values()) == ["bad_path"]
    assert all(source.isprintable() and len(source) <= 300 for source in codes)


def test_each_entry_that_cannot_be_taken_is_refused_with_its_reason():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped(
            ("Ada/1.jpg", b"a"),
            ("stray.jpg", b"x"),
            ("Ada/more/1.jpg", b"x"),
            ("Bob/1.jpg", b"x"),
            ("Bob/1.jpg", b"y"),
            (link("Eve/1.jpg"), b"/etc/passwd"),
            ("Zoe/1.jpg", b"x" * 10_001),
        )
    assert refused(content) == {
        "stray.jpg": "misplaced",
        "Ada/more/1.jpg": "misplaced",
        "Bob/1.jpg": "repeated_path",
        "Eve/1.jpg": "bad_path",
        "Zoe/1.jpg": "body_too_large",
    }
    assert [item.status for item in folders(content)].count("refused") == 6
    assert list(photos(content)) == ["Ada/1.jpg"]


def test_an_encrypted_entry_and_a_packing_that_is_not_read_are_refused():
    content = bytearray(zipped(("Ada/1.jpg", b"a"), ("Bob/1.jpg", b"b"), ("Eve/1.jpg", b"e")))
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    content[first + 8] |= 1
    struct.pack_into("<H", content, second + 10, 99)
    assert refused(bytes(content)) == {"Ada/1.jpg": "encrypted", "Bob/1.jpg": "unreadable_image"}


def test_bzip2_and_lzma_are_refused():
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert refused(zipped(("Ada/1.jpg", b"a"), method=method)) == {"Ada/1.jpg": "unreadable_image"}


def test_a_bomb_is_refused_before_anything_is_unpacked():
    bomb = zipped(*((f"Ada/{number}.jpg", bytes(9_999)) for number in range(12)))
    assert len(bomb) < 5_000
    with pytest.raises(BatchTooLarge, match="unpacked"):
        folders(bomb)
    with pytest.raises(BatchTooLarge, match="51 entries"):
        folders(zipped(*((f"Ada/{number}.jpg", b"") for number in range(51))))


def test_an_entry_that_unpacks_to_more_than_it_says_is_not_unpacked():
    deflated = zlib.compressobj(wbits=-15)
    stored = deflated.compress(bytes(1_000_000)) + deflated.flush()
    with pytest.raises(UnreadableEntry):
        unpacked(stored, Place(0, 0, len(stored), 10, zlib.crc32(bytes(10)), True))


@pytest.mark.parametrize(
    ("stored", "place"),
    [
        (b"abc", Place(0, 0, 3, 3, 0, False)),  # another checksum
        (b"abc", Place(0, 0, 3, 4, zlib.crc32(b"abc"), False)),  # another size
        (b"abc", Place(0, 0, 3, 3, zlib.crc32(b"abc"), True)),  # not deflated at all
    ],
)
def test_a_damaged_entry_is_told_from_a_whole_one(stored, place):
    with pytest.raises(UnreadableEntry):
        unpacked(stored, place)


def overlapping():
    """Two entries of the directory lead to the same bytes."""
    content = zipped(("Ada/1.jpg", b"a"), ("Ada/2.jpg", b"b"), method=zipfile.ZIP_STORED)
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    return content[:second] + content[first:second] + content[content.rindex(b"PK\5\6") :]


def another_name():
    """The entry calls itself something else than the directory does."""
    return zipped(("Ada/1.jpg", b"a")).replace(b"Ada/1.jpg", b"Eve/1.jpg", 1)


WHOLE = zipped(("Ada/1.jpg", b"a" * 100), ("Bob/1.jpg", b"b" * 100), method=zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        b"PK\5\6",
        WHOLE[:-1],
        WHOLE[: len(WHOLE) // 2],
        WHOLE[10:],
        b"prefix" + WHOLE,
        WHOLE + b"suffix",
        zipped(),
        zipped(("Ada/", b"")),
        zipped((".hidden/1.jpg", b"a")),
        overlapping(),
        another_name(),
        WHOLE[: WHOLE.rindex(b"PK\5\6")] + struct.pack("<4s4H2LH", b"PK\5\6", 1, 1, 1, 1, 46, 0, 0),
        WHOLE[: WHOLE.rindex(b"PK\5\6")] + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 0, 0),
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_what_is_no_whole_zip_of_photos_is_refused_as_a_whole(content):
    with pytest.raises(UnreadableBatch):
        folders(content)


def test_no_change_of_one_byte_makes_it_fail_in_another_way():
    for place in range(len(WHOLE)):
        for flip in (0x01, 0xFF):
            changed = bytearray(WHOLE)
            changed[place] ^= flip
            try:
                for item in folders(bytes(changed)):
                    if item.status == "pending":
                        unpacked(bytes(changed)[item.place.data : item.place.end], item.place)
            except (UnreadableBatch, BatchTooLarge, UnreadableEntry):
                continue


def test_says_where_the_directory_begins():
    assert WHOLE[list_folders(io.BytesIO(WHOLE), LIMITS)[1] :].startswith(b"PK\1\2")


def test_a_line_is_an_item_and_a_blank_one_is_none():
    content = b'{"a": 1}\n\n  \r\n{"b": 2}\r\n{"c": 3}'
    found = list_lines(io.BytesIO(content), LIMITS)
    assert [item.source for item in found] == ["line 1", "line 4", "line 5"]
    assert [content[item.place.data : item.place.end].strip() for item in found] == [
        b'{"a": 1}',
        b'{"b": 2}',
        b'{"c": 3}',
    ]
    assert [item.person for item in found] == [0, 1, 2]


def test_a_line_that_is_too_long_is_refused_and_the_next_one_is_found():
    longest = LIMITS.line_bytes
    content = b"x" * longest + b"\n" + b"y" * (longest + 1) + b"\n{}\n" + b"z" * (3 * 1024 * 1024)
    found = list_lines(io.BytesIO(content), LIMITS)
    assert [(item.source, item.code) for item in found] == [
        ("line 1", None),
        ("line 2", "body_too_large"),
        ("line 3", None),
        ("line 4", "body_too_large"),
    ]
    assert found[-1].place.end == len(content)


def test_too_many_lines_and_none_are_refused_as_a_whole():
    with pytest.raises(BatchTooLarge, match="50 lines"):
        list_lines(io.BytesIO(b"{}\n" * 51), LIMITS)
    for content in (b"", b"\n\n", b"  "):
        with pytest.raises(UnreadableBatch):
            list_lines(io.BytesIO(content), LIMITS)
