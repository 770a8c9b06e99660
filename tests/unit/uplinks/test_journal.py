from __future__ import annotations

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


def test_a_damaged_journal_is_refused() -> None:
    with locked():
        made(0).path.write_text("{")
    with pytest.raises(NotSupportedError, match="cannot read"):
        load()


def test_without_the_right_to_write_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "DIRECTORY", Path("/proc/plait"))
    with pytest.raises(PrivilegeError, match="use sudo"), locked():
        pass
