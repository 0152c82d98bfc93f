# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory of each kind that a front-end may share, played through to packets."""

import contextlib
import os
import subprocess
import tempfile

import bed
import scripts
from bed import path
from scripts import SIZE, memfd


@contextlib.contextmanager
def made(*fds):
    """Descriptors, which who plays closes."""
    yield list(fds)


def file_in(directory):
    """A file of no name there."""
    fd, name = tempfile.mkstemp(dir=directory)
    os.unlink(name)
    os.ftruncate(fd, SIZE)
    return fd


@contextlib.contextmanager
def file_of(filesystem):
    """In a filesystem of that kind, which is in a file itself."""
    image, directory = path(filesystem), path("mounted")
    with open(image, "wb") as file:
        file.truncate(320 << 20)     # xfs needs 300 MB, of which it writes few
    subprocess.run(["mkfs." + filesystem, "-q", image], check=True)
    os.mkdir(directory)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)
    try:
        yield [file_in(directory)]
    finally:
        # the port lets go of the mapping in a thread of its own
        bed.wait_for("unmounting", lambda: subprocess.run(
            ["umount", directory], stderr=subprocess.DEVNULL, check=False).returncode == 0)
        os.rmdir(directory)
        os.unlink(image)


# front-ends share their own files with those of others; this checkout's is no filesystem of memory
HERE = os.path.join(bed.ROOT, "build")
KINDS = {
    "memfd": lambda: made(memfd(SIZE)),
    "memfd-sealed": lambda: made(memfd(SIZE, seals=0x2 | 0x4 | 0x1)),  # SHRINK, GROW, SEAL
    "hugetlbfs-2M": lambda: made(memfd(SIZE, flags=0x4)),
    "tmpfs": lambda: made(file_in("/dev/shm")),
    "file": lambda: made(file_in(HERE)),
    "ext4": lambda: file_of("ext4"),
    "xfs": lambda: file_of("xfs"),
    "file-beside-memfd": lambda: made(memfd(SIZE), file_in(HERE)),
    "memfd-beside-file": lambda: made(file_in(HERE), memfd(SIZE)),
}


def shared(kind, server):
    with KINDS[kind]() as fds:
        scripts.played(scripts.SCRIPTS[0], server, fds)


def run(report):
    server = path("fe.sock")
    switch = bed.Testpmd("switch", [bed.vdev(0, "iface=" + server)], args=[
        "--forward-mode=io", "--port-topology=loop", "--auto-start"])
    try:
        for kind in KINDS:
            report.case(kind, shared, kind, server)
    finally:
        switch.quit()
