from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from plait.errors import NotSupportedError, PrivilegeError
from plait.uplinks import journal
from plait.uplinks.journal import Attachment, Journal, load, locked, namespace_cookie
from plait.uplinks.steps import Step

DEVICE = Attachment(
    name="plait0", uplink="eth0", local=("10.201.0.2",), peer=("10.201.0.1/30",), mtu=1500
)
STEPS = [Step(("ip", "a"), (("ip", "b"), ("ip", "c"))), Step(("nft", "d\ne"))]


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "DIRECTORY", tmp_path / "plait")


def made(cookie: int) -> Journal:
    return Journal(cookie=cookie, steps=STEPS, slots=[[DEVICE]])


def test_a_journal_is_read_as_it_was_written() -> None:
    with locked():
        written = made(namespace_cookie())
        written.note(1)
        assert load() == written
        written.complete = True
        written.note(2)
        assert load() == written
        written.remove()
        assert load() is None
        written.remove()


def test_the_journal_of_a_namespace_that_is_gone_counts_as_none() -> None:
    with locked():
        made(namespace_cookie() + 1).save()
    assert load() is None


def test_everybody_may_read_it() -> None:
    with locked():
        written = made(0)
        written.save()
    assert written.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cookie": COOKIE, "steps": [{}]}'])
def test_a_damaged_journal_is_refused(text: str) -> None:
    with locked():
        made(0).path.write_text(text.replace("COOKIE", str(namespace_cookie())))
    with pytest.raises(NotSupportedError, match="damaged"):
        load()


def test_a_journal_that_cannot_be_written_is_named() -> None:
    with pytest.raises(NotSupportedError, match=r"cannot write .*\.json: No such file"):
        made(0).save()


ROOT_OR_NOT: dict[int, tuple[type[Exception], str]] = {
    0: (NotSupportedError, "mount a tmpfs"),
    1000: (PrivilegeError, "use sudo"),
}


@pytest.mark.parametrize("user", ROOT_OR_NOT)
def test_without_the_right_to_write_it_is_said_so(
    user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "DIRECTORY", Path("/proc/plait"))
    monkeypatch.setattr("os.geteuid", lambda: user)
    kind, hint = ROOT_OR_NOT[user]
    with pytest.raises(kind, match=hint), locked():
        pass


KILLED = """
import sys
from pathlib import Path
from plait.uplinks import journal
from plait.uplinks.steps import perform

journal.DIRECTORY = Path(sys.argv[1])
with journal.locked():
    perform(("sh", "-c", "cd $0; touch begun; sleep 0.3; touch ended", sys.argv[1]))
"""


def test_a_command_of_a_killed_program_is_waited_for() -> None:
    """Else what it makes after `plait down` would be left."""
    directory = journal.DIRECTORY
    directory.mkdir()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(directory)]) as killed:
        while not (directory / "begun").exists():
            time.sleep(0.01)
        killed.kill()
    assert not (directory / "ended").exists()
    with locked():
        assert (directory / "ended").exists()
