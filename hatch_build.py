"""Compiles the core with mypyc when PLAIT_COMPILE=1 is set; otherwise wheels are pure Python.

    PLAIT_COMPILE=1 pip install .
    python hatch_build.py           # a folder with plait, its core compiled; prints its name
    python hatch_build.py --lacks   # prints what is not there to compile it, if anything

The sources stay beside what is made of them: they tell what compiled modules have forgotten, and
Python takes the compiled ones first.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES: Final = (
    "congestion",
    "host",
    "mptcp",
    "pathing",
    "scheduling",
    "sim",
    "tcp",
    "trace",
    "wire",
)
MODULES: Final = (
    "addresses",
    "buffers",
    "drivers/cutting",
    "drivers/merging",
    "drivers/offload",
    "drivers/udp/trains",
    "drivers/virtio",
    "ranges",
)
"""What is compiled, of the package `plait`."""

INTERPRETED: Final = ("sim/middlebox", "sim/plot.py", "sim/scenario.py", "sim/torture")
"""What is not, of the packages: it is read by its annotations, or slow for other reasons."""

INLINED: Final = ("arguments", "drivers/udp/format", "errors", "registry", "units")
"""What is not either, but tells types and constants to what is."""

HELPER: Final = "plait/wire/summing.c"
"""The one part in C: without it a third of a super-segment with checksums would be numpy's."""

ROOT: Final = Path(__file__).resolve().parent

_VARIABLE: Final = "PLAIT_COMPILE"

_LEVEL: Final = os.environ.get("PLAIT_COMPILE_LEVEL", "1")
"""For the C compiler: 0 to 3."""


_LENIENT: Final = (
    "--config-file=",
    "--no-incremental",
    "--follow-imports=silent",
    "--ignore-missing-imports",
    "--disable-error-code=no-redef",
)
"""For the type checker: this is not where types are checked, and numpy may not be there."""


class CompileHook(BuildHookInterface[Any]):
    """Adds compiled modules to a wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what compiling takes beside hatchling."""
        return ["mypy[mypyc]>=1.15", "mypy_extensions>=1.0", "setuptools>=65"] if _wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, if that is wanted."""
        if not _wanted() or self.target_name != "wheel" or version == "editable":
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        folder = compiled(Path(self.root))
        for made in folder.rglob("*.so"):
            build_data["force_include"][str(made)] = str(made.relative_to(folder))


def compiled(root: Path) -> Path:
    """Return a folder with the package as it is now below `root`, and its core compiled.

    It is compiled again only when the core, this file or the compiler changed.
    """
    folder = root / "build" / "compiled" / str(sys.implementation.cache_tag)
    source = root / "src" / "plait"
    stamp = folder / "stamp"
    key = _key(source)
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(folder, ignore_errors=True)
        _copy(source, folder / "plait")
        compile_core(folder)
        stamp.write_text(key, encoding="utf-8")
    else:
        _copy(source, folder / "plait")
    return folder


def lacks() -> str:
    """Return what compiling takes and is not there, empty if all is."""
    if find_spec("mypyc") is None or find_spec("setuptools") is None:
        return "no mypyc: pip install 'mypy[mypyc]' setuptools"
    compiler = str(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler: {compiler} is not installed"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"no headers of Python {platform.python_version()}: install python3-dev"
    return ""


def compile_core(folder: Path) -> None:
    """Put shared libraries beside the sources of the core in `folder`."""
    from mypyc.build import mypycify
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    class Parallel(build_ext):  # type: ignore[misc] # setuptools brings no types
        """Compiles one file on each processor."""

        def build_extensions(self) -> None:
            one_by_one = self.compiler.compile

            def compile_(sources: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    parts = pool.map(lambda file: one_by_one([file], **options), sources)
                    return [made for part in parts for made in part]

            self.compiler.compile = compile_
            super().build_extensions()

    work = folder.with_name(f"{folder.name}.work")
    with chdir(folder):
        extensions = mypycify(
            [*_LENIENT, *sorted(_files())],
            opt_level=_LEVEL,
            debug_level="0",
            multi_file=True,
            target_dir=str(work),
        )
        extensions.append(Extension("plait.wire.summing", [HELPER], extra_compile_args=["-O3"]))
        command = Parallel(Distribution({"ext_modules": extensions}))
        command.build_lib, command.build_temp = str(folder), str(work)
        command.ensure_finalized()
        command.run()
    shutil.rmtree(work)


def _files() -> Iterator[str]:
    """Yield the modules to compile, relative to the folder of sources."""
    spared = [Path("plait", name) for name in INTERPRETED]
    for package in PACKAGES:
        for path in Path("plait", package).rglob("*.py"):
            if path.name != "__init__.py" and not any(map(path.is_relative_to, spared)):
                yield str(path)
    for module in MODULES:
        yield f"plait/{module}.py"


def _key(source: Path) -> str:
    """Return what the compiled core depends on, hashed."""
    files = [Path(__file__), source.parent / HELPER]
    files += [source / f"{name}.py" for name in (*MODULES, *INLINED)]
    for package in PACKAGES:
        files += sorted(source.joinpath(package).rglob("*.py"))
    made_by = _LEVEL, platform.python_version(), version("mypy")
    digest = hashlib.sha256(repr(made_by).encode())
    for file in files:
        digest.update(str(file).encode() + file.read_bytes())
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy the sources, and remove those that are gone."""
    for old in target.rglob("*.py"):
        if not (source / old.relative_to(target)).exists():
            old.unlink()
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )


def _wanted() -> bool:
    return os.environ.get(_VARIABLE) == "1"


if __name__ == "__main__":
    if sys.argv[1:] == ["--lacks"]:
        print(lacks())
        sys.exit()
    with redirect_stdout(sys.stderr):  # where compilers talk
        made = compiled(ROOT)
    print(made)
