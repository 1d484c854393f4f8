"""What earlier scans found: kept, shared, and never in the way."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from damages import DAMAGES

from keras_transfer.data.scan_cache import recall, remember

CAT, DOG = ("/photos/cat.jpg", 1000, 111), ("/photos/d\udcf6g.jpg", 2000, 222)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache" / "sound.sqlite"


def test_what_was_remembered_is_recalled_in_the_order_asked(file):
    remember(file, [CAT, DOG], ["c0", "d0"])

    assert recall(file, [DOG, None, ("/photos/emu.jpg", 1, 1), CAT, DOG]) == [
        "d0",
        "",
        "",
        "c0",
        "d0",
    ]


@pytest.mark.parametrize(
    "changed", [("/photos/cat.jpg", 1001, 111), ("/photos/cat.jpg", 1000, 112)]
)
def test_a_changed_file_is_not_known_until_it_is_remembered_again(changed, file):
    remember(file, [CAT], ["old"])
    assert recall(file, [changed]) == [""]

    remember(file, [changed], ["new"])
    assert recall(file, [changed, CAT]) == ["new", ""]


def test_nothing_is_known_at_first_and_of_nothing(file):
    assert recall(file, [CAT]) == [""]
    assert recall(file, []) == []


def test_a_broken_file_is_set_aside_and_begun_anew(file, caplog):
    file.parent.mkdir()
    file.write_bytes(b"no database" * 1000)

    assert recall(file, [CAT]) == [""]
    remember(file, [CAT], ["c0"])

    assert recall(file, [CAT]) == ["c0"]
    assert "It is renamed to sound.sqlite.broken" in caplog.text
    assert file.with_name("sound.sqlite.broken").read_bytes().startswith(b"no database")


def test_a_file_broken_in_the_middle_is_set_aside_too(file):
    stamps = [(f"/photos/{i}.jpg", i, i) for i in range(5000)]
    remember(file, stamps, [str(i) for i in range(5000)])
    content = bytearray(file.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    file.write_bytes(content)

    recall(file, stamps)
    remember(file, stamps, ["new"] * 5000)

    assert recall(file, stamps) == ["new"] * 5000


def statement(file, text):
    with sqlite3.connect(file) as scan_cache:
        scan_cache.execute(text)
    scan_cache.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checked SET digest = 'c1' WHERE size = 1000",
        "UPDATE checked SET digest = CASE digest WHEN 'c0' THEN 'd0' ELSE 'c0' END",
        "UPDATE checked SET digest = NULL",
        "UPDATE checked SET digest = x'00ff'",
        "UPDATE checked SET digest = CAST(x'ff' AS TEXT)",
        "UPDATE checked SET crc32 = 'none'",
        "ALTER TABLE checked DROP COLUMN crc32",
        "ALTER TABLE checked RENAME COLUMN digest TO digests",
        "ALTER TABLE checked ADD COLUMN more TEXT",
    ],
)
def test_a_wrong_row_or_another_table_means_that_all_are_checked_again(file, caplog, change):
    """All of these are sound databases; swapped digests would swap features of images."""
    remember(file, [CAT, DOG], ["c0", "d0"])
    statement(file, change)

    found = recall(file, [CAT, DOG])
    remember(file, [CAT, DOG], ["c0", "d0"])

    assert found == ["", ""] or "ADD COLUMN" in change
    assert recall(file, [CAT, DOG]) == ["c0", "d0"]
    assert caplog.text.count("is damaged") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_gives_a_wrong_digest_or_an_error(file, damage):
    stamps = [(f"/photos/{i}.jpg", i, i) for i in range(300)]
    remember(file, stamps, [f"{i:064x}" for i in range(300)])
    file.write_bytes(DAMAGES[damage](file.read_bytes()))

    found = recall(file, stamps)

    assert all(digest in ("", f"{i:064x}") for i, digest in enumerate(found))
    remember(file, stamps, [f"{i:064x}" for i in range(300)])
    assert recall(file, stamps) == [f"{i:064x}" for i in range(300)]


def test_each_flipped_bit_is_found_or_harmless(file):
    """In steps of a prime number of bytes, over all of a file of a few pages."""
    stamps = [(f"/photos/{i}.jpg", i, i) for i in range(60)]
    remember(file, stamps, [f"{i:064x}" for i in range(60)])
    content = file.read_bytes()
    for place in range(0, len(content), 211):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)

        found = recall(file, stamps)

        assert all(digest in ("", f"{i:064x}") for i, digest in enumerate(found))


def test_without_a_place_to_write_it_says_so_and_goes_on(tmp_path, caplog):
    (tmp_path / "cache").touch()
    file = tmp_path / "cache" / "sound.sqlite"

    assert recall(file, [CAT]) == [""]
    remember(file, [CAT], ["c0"])

    assert "are not kept for next time" in caplog.text


def test_runs_at_the_same_time_lose_nothing(file):
    def run(number):
        for i in range(20):
            stamp = (f"/photos/{number}/{i}.jpg", 1, 1)
            remember(file, [stamp], [f"{number}-{i}"])
            assert recall(file, [stamp]) == [f"{number}-{i}"]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))

    with sqlite3.connect(file) as scan_cache:
        assert scan_cache.execute("SELECT count(*) FROM checked").fetchone() == (80,)


@pytest.mark.slow
def test_many_are_recalled_fast(file):
    """100,000 take a fraction of a second; a slow machine has three."""
    import time

    stamps = [(f"/photos/some/folder/{i}.jpg", i, i) for i in range(100_000)]
    remember(file, stamps, ["0" * 64] * len(stamps))

    begun = time.perf_counter()
    assert "" not in recall(file, stamps)
    assert time.perf_counter() - begun < 3
