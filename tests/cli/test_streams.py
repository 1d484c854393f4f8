"""Commands whose output nobody reads, or that are interrupted: they end without a traceback."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from processes import KT

SHELL = shlex.join(KT)


def shell(command, cwd):
    """Run a line of bash in which ``kt`` is the command; give its exit code and its stderr."""
    line = f'kt() {{ {SHELL} "$@"; }}; {command}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=cwd)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "kt list | true; exit ${PIPESTATUS[0]}",
        "kt show digits | head -1; exit ${PIPESTATUS[0]}",
        "kt weights list | true; exit ${PIPESTATUS[0]}",
        "kt run digits --help | true; exit ${PIPESTATUS[0]}",
        "kt list >&-",
        "kt show digits <&- >&-",
        "kt list 2>&- | head -1; exit ${PIPESTATUS[0]}",
        "kt list <&- >&- 2>&-",
    ],
)
def test_a_reader_that_goes_away_is_no_error(line, tmp_path):
    assert shell(line, tmp_path) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is(tmp_path):
    code, said = shell("kt list > /dev/full", tmp_path)

    assert (code, said.split(".")[0]) == (1, "Error: The disk is full")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(true)"])
@pytest.mark.parametrize(("words", "code"), [("run nonexistent", 2), ("cache clear", 0)])
def test_the_exit_code_is_right_where_nobody_can_read_why(words, code, stderr, tmp_path):
    """After a pause: whoever read from it has gone by then."""
    assert shell(f"sleep 0.3; kt {words} {stderr}", tmp_path)[0] == code


SCRIPT = """if True:
    import os, sys
    from keras_transfer import quiet
    from tqdm import tqdm
    sys.modules["tensorflow"] = sys  # as where a script has imported it already
    quiet.import_tensorflow()
    for _ in tqdm([1], file=sys.stderr):
        pass
    with quiet.silenced():
        os.write(2, b"from C++")
    file = open("features", "wb")
    os.write(2, b"from C++")
    sys.exit(os.path.getsize("features"))
"""


@pytest.mark.parametrize("stderr", ["2>&-", "<&- >&- 2>&-"])
def test_a_script_without_standard_error_works_and_writes_into_no_file(stderr, tmp_path):
    line = f"{shlex.join([sys.executable, '-c', SCRIPT])} {stderr}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path)

    assert done.returncode == 0


def test_files_that_are_opened_never_get_the_numbers_of_closed_streams(tmp_path):
    """TensorFlow writes to number 2: into a cache, if that were its number."""
    program = (
        "from keras_transfer.cli.main import _open_streams; _open_streams(); import sys; "
        "file = open('cache', 'w'); sys.exit(file.fileno() - 3)"
    )
    line = f"'{sys.executable}' -c \"{program}\" <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path)

    assert done.returncode == 0


SLOW_TO_STOP = """if True:
    import sys, time
    import click
    from keras_transfer.cli.main import main

    @main.command()
    def work():
        try:
            print("working", flush=True)
            time.sleep(60)
        finally:
            print("saving", flush=True)
            time.sleep(float(sys.argv[2]))
            print("saved", flush=True)

    main(["work"])
"""


def interrupted(signals, saving):
    """Send signals to a command that needs time to save; give its exit code and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_STOP, "work", str(saving)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for number, awaited in zip(signals, ("working", "saving"), strict=False):
        assert process.stdout.readline().strip() == awaited
        process.send_signal(number)
    said, errors = process.communicate(timeout=50)
    return process.returncode, said.split(), errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_once_it_saves(number):
    assert interrupted([number], 0.1) == (130, ["saving", "saved"], "Interrupted.\n")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_it_stops_at_once(second):
    begun = time.perf_counter()
    code, said, errors = interrupted([signal.SIGINT, second], 40)

    assert (code, said) == (130, [])
    assert errors == "Stopped at once. A run resumes from its last saved epoch with --resume.\n"
    assert time.perf_counter() - begun < 30
