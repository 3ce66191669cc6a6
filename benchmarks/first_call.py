"""Time from the start of a process to its first features, with and without a cache of compiled kernels."""

import compileall
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from options import Options
from tables import number, paragraph, table
from timing import summary

TITLE = "First call"
CHILD = """
import sys
import time
from ase.build import molecule
from xanes_hpc import descriptors
imported = time.time()
descriptors.load(*sys.argv[1:]).transform(molecule("H2O"), "O")
print([imported, time.time()])
"""
NO_HOME = Path("/dev/null")
"""A home folder in which not even root can create anything."""
OURS = ("xanes_hpc", "xanes_hpc_kernels", "xanes_hpc_schema")
CLEARED = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONDONTWRITEBYTECODE", "HOME")
WRITABLE, READ_ONLY, NOWHERE = (
    "writable install",
    "read-only install, with a home folder",
    "read-only install, without a home folder",
)


def measure(options: Options) -> dict[str, Any]:
    folder = options.folder / "first call"
    install, home = folder / "install", folder / "home"
    install.mkdir(parents=True)
    home.mkdir()
    for package in OURS:
        origin = Path(str(find_spec(package).origin)).parent
        ignored = "*.pyc" if options.quick else "__pycache__"  # quick runs keep what is compiled
        shutil.copytree(origin, install / package, ignore=shutil.ignore_patterns(ignored))
    compileall.compile_dir(install, quiet=1)
    preset = options.size(("wacsf", "xanesnet-2022"), ("rdc", "rdc"))
    later = options.size(5, 1)
    found = {WRITABLE: _starts(install, [], folder, preset, later)}
    for cache in [*install.rglob("*.nbi"), *install.rglob("*.nbc")]:
        cache.unlink()
    prefix, how = _read_only(install)
    if prefix is not None:
        found[READ_ONLY] = _starts(install, prefix, home, preset, later)
        if not options.quick:
            found[NOWHERE] = _starts(install, prefix, NO_HOME, preset, 1)
    for path in [install, *install.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    return {"preset": preset[1], "how": how, "starts": found}


def _read_only(install: Path) -> tuple[list[str] | None, str]:
    """Return a command prefix that makes the folder read-only, and a description of how that is done."""
    for path in [install, *install.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    if not os.access(install, os.W_OK):
        return [], "file permissions"
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, str(install)]
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix, "a bind mount, since file permissions do not stop root"
    return None, "nothing (not measured: permissions do not stop this user, and a read-only mount failed)"


def _starts(install: Path, prefix: list[str], home: Path, preset: Sequence[str], later: int) -> dict[str, Any]:
    """Measure the first start and later ones: seconds to the end of the imports and to the first features."""
    env = {key: value for key, value in os.environ.items() if key not in CLEARED}
    env |= {"PYTHONPATH": str(install), "HOME": str(home)}
    taken = []
    for _ in range(1 + later):
        begin = time.time()
        command = [*prefix, sys.executable, "-c", CHILD, *preset]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        taken.append([at - begin for at in json.loads(done.stdout)])
    imports, features = ([t[i] for t in taken[1:]] for i in (0, 1))
    return {"first": taken[0][1], "imports": summary(imports), "later": summary(features)}


def section(result: dict[str, Any]) -> list[str]:
    rows = []
    for name, start in result["starts"].items():
        if "error" in start:
            rows.append([name, start["error"], "", ""])
        else:
            rows.append(
                [name, *(number(s) for s in (start["first"], start["later"]["median"], start["imports"]["median"]))]
            )
    return [
        paragraph(
            f"""Time from the start of a process to the first features of one molecule with `{result["preset"]}`, on a
            copy of the packages. The copy is made read-only by {result["how"]}. Compiled kernels are then cached in the
            home folder. Without one they are compiled at every start."""
        ),
        "",
        *table(["", "first start, s", "later starts, s", "of which imports, s"], rows),
    ]


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    found = []
    for name in (WRITABLE, READ_ONLY):
        later = result["starts"].get(name, {}).get("later")
        if later is not None:
            found.append(
                (
                    f"first features, kernels cached, {name}: at most 2 s",
                    f"{later['median']:.2f} s",
                    later["median"] <= 2,
                )
            )
    return found
