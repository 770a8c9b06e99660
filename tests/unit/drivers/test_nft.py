from __future__ import annotations

import shutil

import pytest

from plait.drivers import programs
from plait.drivers.nft import objects, run_nft
from plait.drivers.programs import check_program
from plait.errors import NotSupportedError, UsageError


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ENVIRONMENT", {"PATH": "/nowhere"})
    with pytest.raises(NotSupportedError, match=r"this needs the program nft: .* nftables"):
        check_program("nft", "this")


needs_nft = pytest.mark.skipif(shutil.which("nft") is None, reason="no nft: install nftables")


@needs_nft
@pytest.mark.privileged
@pytest.mark.usefixtures("netns")
def test_tables_are_made_whole_or_not_at_all() -> None:
    run_nft("create table inet one\nadd chain inet one c { type filter hook input priority raw; }")
    assert [table["name"] for table in objects("table")] == ["one"]
    assert [chain["hook"] for chain in objects("chain")] == ["input"]
    with pytest.raises(UsageError, match="nft refuses: "):
        run_nft("create table inet two\nadd rule inet nowhere nothing drop")
    assert [table["name"] for table in objects("table")] == ["one"]
