"""How a sandbox's death is told: from its exit, its last words and the kernel's count."""

import os
import signal

import pytest

from qjet_executor.death import LastWords, diagnose

pytestmark = pytest.mark.unit


@pytest.fixture
def words():
    made = LastWords()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("code", "says_no_memory", "was_oom_killed", "reason"),
    [
        (-signal.SIGKILL, False, False, "killed"),
        (-signal.SIGKILL, False, True, "memory"),
        (-signal.SIGTERM, False, False, "killed"),
        (-signal.SIGTERM, False, True, "killed"),
        (-signal.SIGABRT, True, False, "memory"),
        (-signal.SIGABRT, False, False, "crashed"),
        (-signal.SIGSEGV, False, True, "crashed"),
        (-signal.SIGBUS, False, False, "crashed"),
        (-signal.SIGFPE, False, False, "crashed"),
        (-signal.SIGILL, False, False, "crashed"),
        (-40, False, False, "crashed"),
        (1, True, False, "memory"),
        (1, False, False, "crashed"),
        (0, False, False, "crashed"),
    ],
)
def test_each_death_has_its_reason(code, says_no_memory, was_oom_killed, reason):
    """Want of memory and kills from outside say something else than crashes."""
    death = diagnose(code, says_no_memory=says_no_memory, was_oom_killed=was_oom_killed)
    assert death.reason == reason


def test_a_cancelled_sandbox_was_cancelled_however_it_ended():
    """The kill was the executor's own."""
    death = diagnose(-signal.SIGKILL, says_no_memory=False, was_oom_killed=True, is_cancelled=True)
    assert death.reason == "cancelled"


@pytest.mark.parametrize(
    "said",
    [
        "terminate called after throwing an instance of 'std::bad_alloc'\n",
        "memory allocation of 469762104 bytes failed\n",
        "Traceback (most recent call last):\nMemoryError\n",
        "libgomp: Out of memory allocating 160 bytes\n",
        "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.\n",
        "OSError: [Errno 12] Cannot allocate memory\n",
    ],
)
def test_every_runtime_says_it_in_its_own_words(words, said):
    """First or last, among whatever else was written."""
    assert not words.speak_of_memory()
    for text in (said + "x" * 50_000, "x" * 50_000 + said):
        words.clear()
        os.write(words.descriptor, text.encode())
        assert words.speak_of_memory()


def test_what_was_said_before_is_forgotten(words):
    """The next job's death has nothing to do with it; the child goes on at the start."""
    os.write(words.descriptor, b"MemoryError")
    words.clear()
    os.write(words.descriptor, b"Segmentation fault")
    assert not words.speak_of_memory()
    assert os.fstat(words.descriptor).st_size == len(b"Segmentation fault")


def test_words_that_are_closed_say_nothing(words):
    """A sandbox may be asked again after it was reaped."""
    os.write(words.descriptor, b"MemoryError")
    words.close()
    assert not words.speak_of_memory()
