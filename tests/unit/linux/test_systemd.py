from __future__ import annotations

from pathlib import Path

import pytest

from plait.errors import UsageError
from plait.linux.systemd import Units

RUNNER = ["/opt/plait", "run", "--"]
ETC, RUN, LIB = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"


def write(root: Path, name: str, *lines: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("[Service]", *lines, "")))


def files(root: Path) -> dict[str, bytes]:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


WRAPPED = {
    "plain": (["ExecStart=/bin/a -b"], ["/opt/plait run -- /bin/a -b"]),
    "spaces": (["ExecStart =  /bin/a  "], ["/opt/plait run -- /bin/a"]),
    "prefixes": (["ExecStart=-+/bin/a"], ["-+/opt/plait run -- /bin/a"]),
    "variables and specifiers stay": (
        ["ExecStart=/bin/a $OPTIONS %i"],
        ["/opt/plait run -- /bin/a $OPTIONS %i"],
    ),
    "continued": (
        ["ExecStart=/bin/a \\", "# a comment", "  -b \\", "-c", "ExecStop=/bin/z"],
        ["/opt/plait run -- /bin/a    -b  -c"],
    ),
    "several": (
        ["Type=oneshot", "ExecStart=/bin/a", "ExecStart=/bin/b"],
        ["/opt/plait run -- /bin/a", "/opt/plait run -- /bin/b"],
    ),
    "taken back": (
        ["ExecStart=/bin/a", "ExecStart=", "ExecStart=/bin/b"],
        ["/opt/plait run -- /bin/b"],
    ),
    "comments and other sections": (
        [";ExecStart=/bin/x", "#ExecStart=/bin/y", "ExecStart=/bin/a", "[Other]", "ExecStart=/z"],
        ["/opt/plait run -- /bin/a"],
    ),
}


@pytest.mark.parametrize(("lines", "expected"), WRAPPED.values(), ids=WRAPPED.keys())
def test_what_a_service_starts_is_wrapped_and_unwrapped(
    tmp_path: Path, lines: list[str], expected: list[str]
) -> None:
    write(tmp_path, f"{LIB}/a.service", *lines)
    before = files(tmp_path)
    path, text = Units(tmp_path).enable("a", RUNNER)
    assert path == tmp_path / ETC / "a.service.d" / "plait.conf"
    assert path.read_text() == text
    assert text.splitlines()[1:] == [
        "[Service]",
        "ExecStart=",
        *(f"ExecStart={e}" for e in expected),
    ]
    assert Units(tmp_path).enabled() == {"a.service": expected}
    assert Units(tmp_path).disable("a.service") == path
    assert files(tmp_path) == before
    assert not path.parent.exists()


def test_enabling_again_does_not_wrap_twice(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a.service", "ExecStart=/bin/a")
    first = Units(tmp_path).enable("a", RUNNER)
    assert Units(tmp_path).enable("a", RUNNER) == first
    _, other = Units(tmp_path).enable("a", ["/opt/plait", "run", "--explain", "--"])
    assert "ExecStart=/opt/plait run --explain -- /bin/a\n" in other


def test_files_hold_in_systemds_order(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a-b.service", "ExecStart=/bin/lib")
    units = Units(tmp_path)

    def started() -> list[str]:
        return units.started("a-b")

    assert started() == ["/bin/lib"]
    write(tmp_path, f"{ETC}/a-b.service", "ExecStart=/bin/etc")
    assert started() == ["/bin/etc"]
    write(tmp_path, f"{LIB}/a-b.service.d/20-more.conf", "ExecStart=/bin/more")
    assert started() == ["/bin/etc", "/bin/more"]
    write(tmp_path, f"{ETC}/a-.service.d/30-prefix.conf", "ExecStart=", "ExecStart=/bin/prefix")
    assert started() == ["/bin/prefix"]
    write(tmp_path, f"{ETC}/a-b.service.d/30-prefix.conf", "User=nobody")
    assert started() == ["/bin/etc", "/bin/more"]
    write(tmp_path, f"{RUN}/a-b.service.d/20-more.conf", "ExecStart=", "ExecStart=/bin/run")
    assert started() == ["/bin/run"]
    write(tmp_path, f"{ETC}/service.d/90-all.conf", "ExecStart=/bin/all")
    assert started() == ["/bin/run", "/bin/all"]


def test_an_instance_starts_what_its_template_says(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a@.service", "ExecStart=/bin/a %i")
    path, text = Units(tmp_path).enable("a@one", RUNNER)
    assert path.parent.name == "a@one.service.d"
    assert text.endswith("ExecStart=/opt/plait run -- /bin/a %i\n")


def test_other_drop_ins_of_the_service_stay(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a.service", "ExecStart=/bin/a")
    write(tmp_path, f"{ETC}/a.service.d/override.conf", "User=nobody")
    before = files(tmp_path)
    Units(tmp_path).enable("a", RUNNER)
    Units(tmp_path).disable("a")
    assert files(tmp_path) == before


def test_words_are_quoted_for_systemd(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a.service", "ExecStart=/bin/a")
    _, text = Units(tmp_path).enable("a", ["/my plait", "run", "100%", "$x", 'say "\\"', "*:22"])
    assert 'ExecStart="/my plait" run 100%% "$$x" "say \\"\\\\\\"" *:22 /bin/a\n' in text


REFUSED = {
    "no such service": ("b", "there is no service b.service"),
    "no name": ("../a", "is not the name of a service"),
    "a socket": ("a.socket", "is no service"),
    "nothing to start": ("empty", "starts nothing"),
    "masked": ("masked", "is masked"),
    "its own argv[0]": ("named", "cannot be kept"),
    "several commands in a line": ("both", "has several commands"),
}


@pytest.mark.parametrize(("service", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, service: str, message: str
) -> None:
    write(tmp_path, f"{LIB}/a.service", "ExecStart=/bin/a")
    write(tmp_path, f"{LIB}/empty.service", "ExecStop=/bin/a")
    write(tmp_path, f"{LIB}/named.service", "ExecStart=@/bin/a b")
    write(tmp_path, f"{LIB}/both.service", "ExecStart=/bin/a ; /bin/b")
    write(tmp_path, f"{LIB}/masked.service", "ExecStart=/bin/a")
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "masked.service").symlink_to("/dev/null")
    with pytest.raises(UsageError, match=message):
        Units(tmp_path).enable(service, RUNNER)
    assert list((tmp_path / ETC).iterdir()) == [tmp_path / ETC / "masked.service"]


def test_a_drop_in_that_was_changed_by_hand_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, f"{LIB}/a.service", "ExecStart=/bin/a")
    path, text = Units(tmp_path).enable("a", RUNNER)
    path.write_text(text + "User=nobody\n")
    for change in (
        lambda: Units(tmp_path).enable("a", RUNNER),
        lambda: Units(tmp_path).disable("a"),
    ):
        with pytest.raises(UsageError, match="changed by hand"):
            change()
    assert path.read_text() == text + "User=nobody\n"
    assert Units(tmp_path).enabled() == {}


def test_what_is_not_enabled_cannot_be_disabled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not enabled"):
        Units(tmp_path).disable("a")
