# SPDX-License-Identifier: BSD-3-Clause
"""A front-end in a container: namespaces of its own, hugepages that it mounts itself, and of the
file system nothing that the back-end can write to but the directory of the socket."""

import os

import bed
import user
from bed import check
from case import BACK, FRONT, Case, Plan

SPACES = ("mnt", "net", "ipc", "uts", "pid")
SHARED, HUGE = "/mnt/shared", "/mnt/huge"
SCRIPT = """set -e
mount -t tmpfs none /mnt
mkdir %(shared)s %(huge)s
mount --bind "$0" %(shared)s
mount -t hugetlbfs none %(huge)s
for hidden in /run /tmp /dev/shm /dev/hugepages; do
	[ ! -d $hidden ] || mount -t tmpfs none $hidden
done
exec "$@"
""" % {"shared": SHARED, "huge": HUGE}


class Contained(user.Loop):
    """The front-end in the container connects to a back-end outside."""

    def __init__(self, drivers, **given):
        self.shared = bed.path("shared")
        os.makedirs(self.shared, exist_ok=True)
        super().__init__(drivers, sock=os.path.join(self.shared, "sock"), front_process={
            "prefix": ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork",
                       "--kill-child", "--mount-proc", "sh", "-c", SCRIPT, self.shared],
            "huge": HUGE}, front_sock=os.path.join(SHARED, "sock"), **given)

    def on_path(self, end):
        # the telemetry of a front-end is in the container
        if getattr(self.drivers, end) != "net_vring" or end == "back":
            super().on_path(end)


def contained(loop):
    """A step: nothing but the socket's directory and the processors are shared."""
    for space in SPACES:
        name = "pid_for_children" if space == "pid" else space
        ours, theirs = (os.readlink("/proc/%s/ns/%s" % (pid, name))
                        for pid in ("self", loop.front.pid))
        check(ours != theirs, "the container shares its %s namespace" % space)
    root = "/proc/%d/root" % loop.front.pid
    check(os.listdir(root + SHARED) == ["sock"], "the container has not the socket")
    check(not os.path.exists(root + bed.RUN), "the container has more than the socket")


PLANS = [Plan("virtio_user_for_container_networking", [
    Case(number, "a front-end in a container, %d queue%s: frames of 64 to 1518 bytes" % (
        queues, "s" if queues > 1 else ""), Contained,
         [contained, user.sizes(64, 128, 256, 512, 1024, 1518)], (BACK, FRONT),
         "unshare for a container's runtime, the back-end's own packets", path=user.SPLIT,
         queues=queues)
    for number, queues in ((1, 1), (2, 2))], daily=(2,))]
