# SPDX-License-Identifier: BSD-3-Clause
"""User-Mode Linux as Debian has it, a front-end of its own: two guests behind two ports."""

import os
import socket
import subprocess

import bed
from bed import check, path

SOCKETS = ("uml0.sock", "uml1.sock")


class Guest(bed.Agent):
    """A guest that is a process: its memory is a file of tmpfs, its network card the socket."""

    def __init__(self, number):
        image = os.path.join(bed.CACHE, "guest-uml")
        self.agent, other = socket.socketpair()
        with other:
            super().__init__("uml%d" % number, [
                os.path.join(image, "vmlinux"), "mem=64M",
                "initrd=" + os.path.join(image, "initrd"),
                "virtio_uml.device=%s:1" % path(SOCKETS[number]), "con0=null,fd:1",
                "con1=fd:%d" % other.fileno(), "con=null", "ssl=null", "agent=tty1", "panic=-1"],
                pass_fds=[other.fileno()], env=dict(os.environ, TMPDIR="/dev/shm"))
        self.wait_ready()
        # the same address when it comes back, as the other one remembers it
        self.must("ip link set eth0 address 52:54:00:00:00:0%d && "
                  "ip addr add 10.0.0.%d/24 dev eth0 && ip link set eth0 up" % ((1 + number,) * 2))

    def end(self, *args, **options):
        """With the processes that it was made of."""
        status = super().end(*args, **options)
        subprocess.run(["pkill", "-KILL", "-s", str(self.pid)], check=False)
        self.agent.close()
        return status


class Pair:
    def __init__(self, options):
        self.switch = bed.Testpmd(
            "switch", [bed.vdev(i, "iface=%s%s" % (path(sock), options))
                       for i, sock in enumerate(SOCKETS)], args=["--auto-start"])
        self.guests = [Guest(0), Guest(1)]

    def reach(self):
        """All of each other's packets, short and as long as the MTU has it."""
        for number, guest in enumerate(self.guests):
            other = "10.0.0.%d" % (2 - number)
            guest.must("until ping -c 1 -W 1 %s; do :; done" % other)
            lost = bed.ping(guest, other, 20, 0.05)
            check(lost == 0, "uml%d: %d of 20 echoes are lost" % (number, lost))
            guest.must("ping -c 3 -i 0.05 -W 1 -s 1472 %s" % other)

    def restart_guest(self, number):
        self.guests[number].end()
        self.switch.wait_link(number, up=False)
        self.guests[number] = Guest(number)
        self.switch.wait_link(number)
        self.reach()

    def restart_port(self, number):
        """Stopped and started: nobody's frame comes through meanwhile, and then it does again."""
        self.switch.cmd("stop")
        self.switch.cmd("port stop %d" % number)
        self.switch.wait_link(number, up=False)
        self.switch.cmd("start")
        status, _ = self.guests[0].run("ping -c 1 -W 1 10.0.0.2")
        check(status not in (0, None), "an echo came through a port that is stopped")
        self.switch.cmd("stop")
        self.switch.cmd("port start %d" % number)
        self.switch.cmd("start")
        self.reach()

    def clean(self):
        said = self.switch.log()
        check("cannot be right" not in said and "stopped:" not in said,
              "the port complained: " + self.switch.last_line())

    def end(self):
        for guest in self.guests:
            guest.end()
        self.switch.end()


def run(report):
    for name, options in (("default", ""), ("zero-copy", ",zero-copy=1")):
        pair = Pair(options)
        try:
            report.case(name + "-ping", pair.reach)
            for number in range(2):
                report.case("%s-restart-guest-%d" % (name, number), pair.restart_guest, number)
                report.case("%s-restart-port-%d" % (name, number), pair.restart_port, number)
            report.case(name + "-log", pair.clean)
        finally:
            pair.end()
