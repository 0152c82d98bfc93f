# SPDX-License-Identifier: BSD-3-Clause
"""Peers that misbehave on one socket must not slow down the packets of another port."""

import socket
import statistics
import struct
import threading
import time

import bed
from bed import check, path

GET_FEATURES, SET_VRING_NUM, SET_MEM_TABLE = 1, 8, 5
WINDOW = 0.4        # seconds of each measurement
PAIRS = 6           # windows without and with the misbehaving peer, in turn


def message(request, payload=b""):
    return struct.pack("<III", request, 1, len(payload)) + payload


class Peer(threading.Thread):
    """Connects again and again and sends what `act` makes of the connection, while active."""

    def __init__(self, sock, act):
        super().__init__(daemon=True)
        self.sock, self.act = sock, act
        self.active, self.over = threading.Event(), False
        self.sent = 0
        self.start()

    def run(self):
        while not self.over:
            if not self.active.wait(0.05):
                continue
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.settimeout(0.1)
                    s.connect(self.sock)
                    while self.active.is_set() and not self.over:
                        self.act(s)
                        self.sent += 1
                except OSError:
                    time.sleep(0.005)


def flood(s):
    """Requests as fast as they go, their answers never read."""
    s.sendall(message(SET_VRING_NUM, struct.pack("<II", 0, 256)) * 50)


def trickle(s):
    """One byte now and then of a message that never ends."""
    s.sendall(message(GET_FEATURES)[:1])
    time.sleep(0.05)


def silence(s):
    """A connection, and not a word."""
    time.sleep(0.05)


def deaf(s):
    """Asks on and on and never reads an answer."""
    s.sendall(message(GET_FEATURES) * 50)


def knock(s):
    """Connects and goes, as often as it can."""
    raise OSError("next")


def packets(switch, seconds):
    before = switch.stats(0)["ipackets"]
    began = time.monotonic()
    time.sleep(seconds)
    return (switch.stats(0)["ipackets"] - before) / (time.monotonic() - began)


def undisturbed(switch, sock, act):
    """The median rate beside the peer is that without it, give or take what this machine does."""
    peer = Peer(sock, act)
    try:
        without, beside = [], []
        for _ in range(PAIRS):
            without.append(packets(switch, WINDOW))
            peer.active.set()
            time.sleep(0.02)
            beside.append(packets(switch, WINDOW))
            peer.active.clear()
    finally:
        peer.over = True
        peer.join(2)
    check(peer.sent > 0 or act is knock, "the peer did nothing")
    ratio = statistics.median(b / w for w, b in zip(without, beside))
    check(min(without) > 1000, "no traffic to disturb: %d packets a second" % min(without))
    # The peer itself takes a share of the two processors that traffic runs on.
    check(ratio > 0.6, "beside the peer %d %% of the packets" % (100 * ratio))


def run(report):
    good, bad = path("good.sock"), path("bad.sock")
    switch = bed.Testpmd("switch", [bed.vdev(0, "iface=" + good), bed.vdev(1, "iface=" + bad)],
                         args=["--forward-mode=rxonly", "--auto-start"])
    source = bed.Testpmd("source", ["net_virtio_user0,path=%s" % good], plugin=False, cpu=1,
                         eal=["--single-file-segments"],
                         args=["--forward-mode=txonly", "--auto-start"])
    try:
        switch.wait_link(0)
        for act in (flood, trickle, silence, deaf, knock):
            report.case(act.__name__, undisturbed, switch, bad, act)
    finally:
        source.quit()
        switch.quit()
