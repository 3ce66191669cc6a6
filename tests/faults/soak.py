"""Inject faults into every stage at random moments, and print a table of the outcome.

    PYTHONPATH=tests python -m faults.soak --rounds 25          # every fault, an hour on two cores
    PYTHONPATH=tests python -m faults.soak --only kill --rounds 100

After each fault, no unfinished file may have a final name, a command that failed must have printed one line and ended
with exit code 2, and the same command run again must make what an undisturbed run makes. The exit code is 0 if nothing
was lost.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from xanes_hpc.importing import demo_data
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.structures.structure import Structure
from xanes_hpc.training.checkpoints import checkpoint_path

PROGRAM = [sys.executable, "-m", "xanes_hpc"]
KILLED, REFUSED = -signal.SIGKILL, 2
ELEMENTS = np.array([1, 6, 7, 8, 16, 17], np.uint8)
RECIPE = """
[model]
name = "mlp"
hidden = [16]
[training]
epochs = 30
batch_size = 16
checkpoint_minutes = 0
gpus = 0
[uncertainty]
members = 2
"""


@dataclass
class Tally:
    """How often a fault did harm or was harmless, and what was lost."""

    injected: int = 0
    harmless: int = 0
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A command that makes an output from inputs in a folder."""

    name: str
    words: Callable[[Path], list[str]]
    output: str
    inputs: tuple[str, ...]

    def command(self, folder: Path, *more: str) -> list[str]:
        return [*PROGRAM, *self.words(folder), *more]


def _stage(name: str, output: str, words: str, *inputs: str) -> Stage:
    return Stage(name, lambda folder: words.format(f=folder).split(), output, inputs)


STAGES = {
    stage.name: stage
    for stage in (
        _stage(
            "import", "s.h5", "import {f}/structures --spectra {f}/spectra --treatment synthetic -o {f}/s.h5",
            "structures", "spectra",
        ),
        _stage(
            "featurise", "f.h5", "featurise {f}/many.h5 --preset xanesnet-2022 -o {f}/f.h5 --threads 1", "many.h5"
        ),
        _stage("finalise", "p.h5", "featurise {f}/many.h5 -o {f}/p.h5 --finalise", "many.h5", "p.h5.parts"),
        _stage(
            "train", "m.model", "train {f}/small.features.h5 --config {f}/recipe.toml -o {f}/m.model",
            "small.h5", "small.features.h5", "recipe.toml",
        ),
        _stage(
            "predict", "y.h5", "predict {f}/many.features.h5 --model {f}/small.model -o {f}/y.h5 --draws 10 --force",
            "many.h5", "many.features.h5", "small.model",
        ),
    )
}  # fmt: skip
SLOW = {"train": 5}
"""Stages that take long: only one in so many rounds is run."""
SECONDS: dict[str, float] = {}
"""Duration of an undisturbed run, by stage."""


def prepare(folder: Path, n_sites: int) -> None:
    """Make all inputs, and the outputs of undisturbed runs under ``whole``."""
    demo_data.write(folder, n=120, seed=1)
    _write_many(folder / "many.h5", n_sites)
    (folder / "recipe.toml").write_text(RECIPE)
    words = ["import", folder / "structures", "--spectra", folder / "spectra", "--treatment", "synthetic"]
    for command in (
        [*words, "-o", folder / "small.h5"],
        ["featurise", folder / "small.h5", "--preset", "xanesnet-2022"],
        ["featurise", folder / "many.h5", "--preset", "xanesnet-2022"],
        ["train", folder / "small.features.h5", "--config", folder / "recipe.toml", "-o", folder / "small.model"],
        ["featurise", folder / "many.h5", "--preset", "xanesnet-2022", "-o", folder / "p.h5", "--plan", "1"],
        ["featurise", folder / "many.h5", "-o", folder / "p.h5", "--partition", "0"],
    ):
        subprocess.run([*PROGRAM, *map(str, command)], check=True, capture_output=True)
    (folder / "whole").mkdir()
    for stage in STAGES.values():
        with copied(folder, stage) as own:
            begin = time.monotonic()
            subprocess.run(stage.command(own), check=True, capture_output=True)
            SECONDS[stage.name] = time.monotonic() - begin
            (own / stage.output).rename(folder / "whole" / stage.output)


def _write_many(path: Path, n_sites: int) -> None:
    """Write structures with iron among 60 atoms on a jittered lattice."""
    lattice = np.array([(x, y, z) for x in range(-2, 3) for y in range(-2, 3) for z in range(-2, 3)], float)
    lattice = lattice[np.argsort((lattice**2).sum(axis=1))][:60] * 1.9
    rng = np.random.default_rng(0)
    with create_structures(path) as writer:
        for k in range(n_sites):
            numbers = np.concatenate([[26], rng.choice(ELEMENTS, 59)]).astype(np.uint8)
            positions = lattice + rng.uniform(-0.3, 0.3, lattice.shape)
            writer.append(Structure(f"S{k:07d}", numbers, positions), np.array([0]), "K", [[]])


@contextmanager
def copied(folder: Path, stage: Stage) -> Iterator[Path]:
    """Yield a folder with hard links to a stage's inputs; faults replace inputs, and never write to them."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for source in (folder / own for own in stage.inputs):
            target = Path(name) / source.name
            if source.is_dir():
                shutil.copytree(source, target, copy_function=os.link)
            else:
                os.link(source, target)
        yield Path(name)


def fingerprint(path: Path) -> str:
    """Return a SHA-256 of every dataset and attribute of a store, or of the HDF5 files of a model folder."""
    result = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*.h5"))
    for file_path in files:
        with h5py.File(file_path, "r") as file:
            _take(file, result)
    return result.hexdigest()


def _take(file: h5py.File, result: "hashlib._Hash") -> None:
    def take(name: str, node: h5py.HLObject) -> None:
        result.update(name.encode())
        for key in sorted(node.attrs):
            if key not in ("source_path", "digest_attributes"):  # these depend on folders
                result.update(f"{key}={node.attrs[key]!r}".encode())
        if isinstance(node, h5py.Dataset):
            result.update(f"{node.dtype} {node.shape} {node.chunks}".encode())
            if not node.shape:
                result.update(repr(node[()]).encode())
            for start in range(0, node.shape[0] if node.shape else 0, 4096):
                result.update(np.ascontiguousarray(node[start : start + 4096]).tobytes())

    take("/", file)
    file.visititems(take)


def resumed(stage: Stage, folder: Path) -> list[str]:
    """Return the command that continues after a fault."""
    return stage.command(folder, *(["--resume"] if checkpoint_path(folder / stage.output).exists() else []))


def check(stage: Stage, folder: Path, whole: str, what: str) -> str:
    """Return what is wrong with the output, if there is one, after a fault; empty if nothing is."""
    output = folder / stage.output
    if not output.exists():
        return ""
    try:
        return "" if fingerprint(output) == whole else f"{what}: {stage.output} differs from an undisturbed run's"
    except (OSError, KeyError, RuntimeError) as error:
        return f"{what}: unfinished {stage.output}: {error}"


def finish(stage: Stage, folder: Path, whole: str, what: str) -> str:
    """Run the command again, compare its output with an undisturbed run's, and return what is wrong."""
    if not (folder / stage.output).exists():
        done = subprocess.run(resumed(stage, folder), capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{what}: run again, it ends with {done.returncode}: {done.stderr.strip()[-300:]}"
    return check(stage, folder, whole, what) if (folder / stage.output).exists() else f"{what}: no output"


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    """Return what is wrong with how a command failed; empty if it printed one line and ended with exit code 2."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("xanes-hpc: error: ")]
    if done.returncode != REFUSED or len(lines) != 1 or "Traceback" in done.stderr:
        return f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"
    return ""


Fault = Callable[[Stage, Path, str, random.Random], Iterator[tuple[bool, str]]]
"""Injects a fault into a stage in its folder; yields, for each injection, whether it did harm, and what was lost."""


def kill(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Kill the command at a random moment, up to three times, then let it finish."""
    for _ in range(3):
        process = subprocess.Popen(resumed(stage, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0.2, SECONDS[stage.name]))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        yield process.returncode == KILLED, check(stage, folder, whole, "killed")
        if (folder / stage.output).exists():
            break
    yield False, finish(stage, folder, whole, "killed")


def no_space(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Forbid files to grow beyond a random size."""
    size = int(10 ** moments.uniform(2.5, 7.5))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        resumed(stage, folder), capture_output=True, text=True, check=False, preexec_fn=limit, cwd=folder
    )
    harmed = done.returncode != 0
    yield harmed, (refusal(done) if harmed else "") or check(stage, folder, whole, f"files of {size} bytes at most")
    yield False, finish(stage, folder, whole, f"files of {size} bytes at most")


def small_disk(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Use a file system that is full after a random size, and is enlarged afterwards."""
    room = int(10 ** moments.uniform(3, 7.5))
    disk = folder / "disk"
    disk.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=4g", "tmpfs", disk):
        return
    try:
        for name in stage.inputs:
            (shutil.copytree if (folder / name).is_dir() else shutil.copy)(folder / name, disk / name)
        used = shutil.disk_usage(disk).used
        if not _mount("-o", f"remount,size={used + room}", disk):
            return
        done = subprocess.run(resumed(stage, disk), capture_output=True, text=True, check=False)
        harmed, what = done.returncode != 0, f"a disk with room for {room} bytes"
        wrong = harmed and (refusal(done) or ("" if "no space left" in done.stderr else f"it printed {done.stderr}"))
        yield harmed, f"{what}: {wrong}" if wrong else check(stage, disk, whole, what)
        if _mount("-o", "remount,size=4g", disk):
            yield False, finish(stage, disk, whole, what)
    finally:
        subprocess.run(["umount", disk], check=True)


def no_memory(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Allow only a little more memory from a random moment on; kill the command if it then hangs."""
    process = subprocess.Popen(resumed(stage, folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with suppress(subprocess.TimeoutExpired):
        process.wait(moments.uniform(0.3, 0.9) * SECONDS[stage.name])
    more = int(10 ** moments.uniform(5, 7.8))
    with suppress(FileNotFoundError, ProcessLookupError):  # it has finished
        size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0]) * resource.getpagesize() + more
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, size))
    try:
        _, printed = process.communicate(timeout=30 + 5 * SECONDS[stage.name])
    except subprocess.TimeoutExpired:
        process.kill()
        _, printed = process.communicate()
    what = f"only {more} more bytes of memory"
    done = subprocess.CompletedProcess([], process.returncode, "", printed)
    wrong = refusal(done) if process.returncode == REFUSED else ""  # libraries may end the process in other ways
    yield process.returncode != 0, f"{what}: {wrong}" if wrong else check(stage, folder, whole, what)
    yield False, finish(stage, folder, whole, what)


def read_only(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Mount the folder read-only, because root may write to any other."""
    if not _mount("--bind", folder, folder):
        return
    try:
        if not _mount("-o", "remount,ro,bind", folder):
            return
        done = subprocess.run(resumed(stage, folder), capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["umount", folder], check=True)
    wrong = refusal(done) or ("" if "read-only" in done.stderr else f"it printed {done.stderr}")
    yield done.returncode != 0, f"a read-only folder: {wrong}" if wrong else ""
    yield False, finish(stage, folder, whole, "a read-only folder")


def _mount(*words: object) -> bool:
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode == 0


def damage(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Flip a bit of an input, or cut it, at a random place: it must be refused, or the output be right."""
    stores = [folder / name for name in stage.inputs if name.endswith(".h5")]
    if not stores:
        return
    store = moments.choice(stores)
    data = bytearray(store.read_bytes())
    if moments.random() < 0.7:
        place = moments.randrange(len(data))
        data[place] ^= 1 << moments.randrange(8)
        what = f"bit flipped at {place} of {store.name}"
    else:
        place = moments.randrange(len(data))
        del data[place:]
        what = f"{store.name} cut to {place} bytes"
    sound = folder / f"{store.name}.sound"
    store.rename(sound)
    store.write_bytes(data)
    done = subprocess.run(resumed(stage, folder), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        yield False, check(stage, folder, whole, what)
    else:
        wrong = refusal(done)
        yield True, f"{what}: {wrong}" if wrong else check(stage, folder, whole, what)
    sound.replace(store)
    if not (folder / stage.output).exists() and stage.name != "finalise":
        shutil.rmtree(parts_folder(folder / stage.output), ignore_errors=True)  # they may belong to the damaged source
    yield False, finish(stage, folder, whole, what)


def replaced(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Replace an input by another file while the stage is running."""
    if stage.name not in ("featurise", "predict"):
        return
    store = folder / stage.inputs[0 if stage.name == "featurise" else 1]
    other = folder / "other.h5"
    shutil.copy(folder.parent / "many.h5" if stage.name == "featurise" else store, other)
    process = subprocess.Popen(resumed(stage, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and not parts_folder(folder / stage.output).exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    other.replace(store)
    _, error = process.communicate()
    done = subprocess.CompletedProcess([], process.returncode, "", error)
    harmed = process.returncode != 0
    yield harmed, (refusal(done) if harmed else "") or check(stage, folder, whole, "an input replaced")
    yield False, finish(stage, folder, whole, "an input replaced")


def two_at_once(stage: Stage, folder: Path, whole: str, moments: random.Random) -> Iterator[tuple[bool, str]]:
    """Start two runs of one output: one must be refused, because the other is running or has finished."""
    first, second = (
        subprocess.Popen(resumed(stage, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    printed = [process.communicate()[1] for process in (first, second)]
    codes = sorted((first.returncode, second.returncode))
    wrong = "" if codes == [0, REFUSED] else f"two at once: exit codes {codes}: {printed}"
    explained = any(words in "".join(printed) for words in ("another run", "already exists", "a run was stopped"))
    yield True, wrong or ("" if explained else f"two at once: {printed}") or check(stage, folder, whole, "two at once")
    yield False, finish(stage, folder, whole, "two at once")


FAULTS: dict[str, Fault] = {
    "kill": kill, "no space": no_space, "small disk": small_disk, "no memory": no_memory, "read-only": read_only,
    "damage": damage, "replaced": replaced, "two at once": two_at_once,
}  # fmt: skip


def inject(
    folder: Path,
    faults: Sequence[str],
    stages: Sequence[str],
    rounds: int,
    seed: int = 0,
    report: Callable[[str, str, Tally], None] = lambda fault, stage, tally: None,
) -> dict[tuple[str, str], Tally]:
    """Inject every fault into every stage, ``rounds`` times each, and return the tallies."""
    whole = {name: fingerprint(folder / "whole" / STAGES[name].output) for name in stages}
    found: dict[tuple[str, str], Tally] = {}
    for fault in faults:
        for name in stages:
            tally = found.setdefault((fault, name), Tally())
            for k in range(max(1, rounds // SLOW.get(name, 1))):
                moments = random.Random(f"{seed} {fault} {name} {k}")
                with copied(folder, STAGES[name]) as own:
                    for harmed, lost in FAULTS[fault](STAGES[name], own, whole[name], moments):
                        tally.injected += int(harmed)
                        tally.harmless += int(not harmed)
                        tally.lost += [f"{fault}, {name}, round {k}: {lost}"] if lost else []
            if not tally.injected and not tally.harmless:
                del found[fault, name]
            else:
                report(fault, name, tally)
    return found


def _print_row(fault: str, stage: str, tally: Tally) -> None:
    n_lost = len(tally.lost)
    print(f"| {fault} | {stage} | {tally.injected} | {tally.injected - n_lost} | {n_lost} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="rounds of each fault in each stage (default 25)")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE")
    parser.add_argument("--sites", type=int, default=20_000, help="number of sites to featurise and predict")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options.sites)
        print("| fault | stage | injected | survived | lost |\n| --- | --- | --- | --- | --- |")
        found = inject(Path(name), options.only, options.stages, options.rounds, options.seed, _print_row)
    lost = [line for tally in found.values() for line in tally.lost]
    for line in lost:
        print(line)
    print(f"{sum(tally.injected for tally in found.values())} faults, {len(lost)} losses")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
