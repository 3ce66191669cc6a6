"""Threads share the memory arenas of glibc."""

import platform
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, sys, threading
from xanes_hpc.runtime.arenas import share_arenas
if sys.argv[1] == "shared":
    assert share_arenas(2)
libc, together = ctypes.CDLL(None), threading.Barrier(8)
libc.malloc.restype = ctypes.c_void_p
def allocate():
    together.wait()
    [libc.malloc(1000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
stream = libc.open_memstream
stream.restype = ctypes.c_void_p
text, size = ctypes.c_char_p(), ctypes.c_size_t()
file = stream(ctypes.byref(text), ctypes.byref(size))
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fflush(ctypes.c_void_p(file))
print(text.value.decode().count("<heap "))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_arenas():
    def count(how):
        done = subprocess.run([sys.executable, "-c", ARENAS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert count("shared") <= 2 < count("own")
