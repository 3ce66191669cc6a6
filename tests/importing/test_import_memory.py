"""The memory of an import does not grow with its input."""

import tracemalloc

import pytest
from support.builders import many_frames, write

from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.runtime import threads
from xanes_hpc.stores import columns, hdf5, structure_writer


@pytest.fixture
def one_thread():
    with threads.limited_to(1):
        yield


@pytest.mark.usefixtures("one_thread")
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, monkeypatch):
    """Except for the names' hashes, which take a fraction of a frame's size."""
    monkeypatch.setattr(columns, "ROWS_PER_CHUNK", 64)
    monkeypatch.setattr(structure_writer, "ATOMS_PER_CHUNK", 64)
    monkeypatch.setattr(hdf5, "SLAB_BYTES", 1 << 16)
    few, many, n_atoms = 150, 750, 60
    peaks = []
    for n_frames in (1, few, many):
        source = write(tmp_path / f"{n_frames}.xyz.gz", many_frames(n_frames, n_atoms=n_atoms))
        if n_frames > 1:
            tracemalloc.start()
        import_structures([source], tmp_path / "out.h5", overwrite=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frame_bytes = n_atoms * 25
    assert peaks[2] - peaks[1] < 0.2 * frame_bytes * (many - few)
