# SPDX-License-Identifier: BSD-3-Clause
"""A front-end that keeps memory for in-flight tracking, and a port that is killed: each chain comes
back, and once. No virtual machine monitor is known that does so with a network card; this is as
QEMU does with disks. The base of its rings it does not know."""

import os
import random
import signal
import socket
import struct
import time

import bed
import scripts
from bed import check, path

GET_INFLIGHT, SET_INFLIGHT = 31, 32
KILLS = 5

SCRIPTS = [
    scripts.Script(
        name, protocol=0xfffff, base="zero", acks=False, features=scripts.QEMU | bits,
        connect="get_features get_protocol set_protocol get_queue_num get_slots channel set_owner "
                "each ring: call",
        start="set_features in_flight add_regions each ring: num base addr kick call; "
              "each ring: enable")
    for name, bits in (("split", 0), ("packed", scripts.PACKED))]


class Player(scripts.Player):
    tracked = None

    def in_flight(self):
        """Ask for the memory once, and give it to each back-end."""
        if self.tracked is None:
            self.connection.sendall(struct.pack("<III", GET_INFLIGHT, 1, 24) + struct.pack(
                "<QQHHI", 0, 0, len(self.rings), scripts.Z, 0))
            head, fds, _, _ = socket.recv_fds(self.connection, 12, 1)
            check(len(head) == 12 and len(fds) == 1, "no memory for in-flight tracking")
            self.tracked = (self.receive(24), fds[0])
        self.send(SET_INFLIGHT, self.tracked[0], [self.tracked[1]])

    def close(self):
        if self.tracked:
            os.close(self.tracked[1])
        super().close()


def killed(script, options):
    """The port's process is killed at any moment: each chain comes back, and once."""
    sock = path("tracked.sock")

    def start():
        return bed.Testpmd("tracked", [bed.vdev(0, "iface=%s%s" % (sock, options))],
                           args=["--forward-mode=io", "--port-topology=loop", "--auto-start"])
    switch, player = start(), Player(script, sock)
    try:
        player.begin()
        for number in range(KILLS):
            player.exchange([])
            for k in range(scripts.FRAMES):
                player.rings[1].chain(k, [(scripts.GPA + 0x200000 + 2048 * k, 72, False)])
            time.sleep(random.uniform(0, 0.001))
            switch.end(signal.SIGKILL)
            player.end()
            switch = start()
            player.begin()
            back = [index for index, _ in player.wait_used(1, scripts.FRAMES)]
            time.sleep(0.01)
            back += [index for index, _ in player.rings[1].used()]
            check(sorted(back) == list(range(scripts.FRAMES)), "kill %d: %s came back" % (
                number, back))
        player.exchange([])
        player.end()
    finally:
        player.close()
        switch.quit()


def run(report):
    sock = path("in-flight.sock")
    switch = bed.Testpmd("switch", [bed.vdev(0, "iface=" + sock)],
                         args=["--forward-mode=io", "--port-topology=loop", "--auto-start"])
    try:
        for script in SCRIPTS:
            report.case(script.name, scripts.played, script, sock, None, Player)
    finally:
        switch.quit()
    for script in SCRIPTS:
        for name, options in (("", ""), ("-zero-copy", ",zero-copy=1,zero-copy-min=0")):
            report.case(script.name + name + "-killed", killed, script, options)
