# SPDX-License-Identifier: BSD-3-Clause
"""Files of this machine added to the initramfs of a guest image."""

import os
import re
import shutil
import subprocess

import bed


def _entry(number, name, mode, data=b""):
    """A member of a cpio archive, format newc: see initramfs-buffer-format of Linux."""
    encoded = name.encode() + b"\0"
    head = "070701" + "".join("%08x" % value for value in (
        number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0))
    member = head.encode() + encoded
    member += b"\0" * (-len(member) % 4) + data
    return member + b"\0" * (-len(data) % 4)


def _archive(files):
    """files: path in the guest -> bytes, mode."""
    members, made = [], set()
    for path, (data, mode) in files.items():
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in made:
                made.add(parent)
                members.append(_entry(len(members) + 1, parent, 0o040755))
        members.append(_entry(len(members) + 1, "/".join(parts), 0o100000 | mode, data))
    members.append(_entry(0, "TRAILER!!!", 0))
    return b"".join(members)


def _libraries(program):
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", said)


def initrd(image, name, programs, data=()):
    """The image's initramfs with more in it, as RUN/NAME.initrd.

    programs: (path here, path there) of executables or shared objects, which bring along what
    they load and the image has not; data: (path there, bytes).
    """
    base = os.path.join(bed.CACHE, image)
    with open(os.path.join(base, "files")) as listing:
        have = set(listing.read().split("\n"))
    files = {there: (content, 0o644) for there, content in data}
    for here, there in programs:
        for source, target in [(here, there)] + [(path, path) for path in _libraries(here)]:
            if target not in have and target not in files:
                with open(source, "rb") as file:
                    files[target] = (file.read(), 0o755)
    out = bed.path(name + ".initrd")
    shutil.copy(os.path.join(base, "initrd"), out)
    with open(out, "ab") as file:
        file.write(_archive(files))
    return out
