# SPDX-License-Identifier: BSD-3-Clause
"""Peers that misbehave on one socket must disturb neither the packets of another port nor the
messages of a third."""

import array
import contextlib
import ctypes
import os
import socket
import statistics
import struct
import threading
import time

import bed
import peer
import scripts
from bed import check, path

GET_FEATURES, SET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_KICK = 1, 2, 5, 8, 12
SET_PROTOCOL_FEATURES, SET_BACKEND_REQ_FD, IOTLB = 16, 21, 22
SET_LOG_BASE, GET_QUEUE_NUM, POSTCOPY_ADVISE, POSTCOPY_LISTEN, ADD_MEM_REG = 6, 17, 28, 29, 37
LOG_ALL, LOG_SHMFD, PAGEFAULT = 1 << 26, 1 << 1, 1 << 8
UPDATE, INVALIDATE = 2, 3
ACCESS_PLATFORM = 1 << 33
BACKEND_REQ = 1 << 5
WINDOW = 0.4        # seconds of each measurement
PAIRS = 3           # windows without and with the misbehaving peer, in turn,
MOST_PAIRS = 9      # and so many where the first ones say that it disturbs
LEAST = 0.6         # of the rate without it
ANSWER = 0.1        # seconds, the longest that a message of a third port may take


def message(request, payload=b""):
    return struct.pack("<III", request, 1, len(payload)) + payload


def send_fd(s, request, payload, fd):
    s.sendmsg([message(request, payload)],
              [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


class Peer(threading.Thread):
    """Does what `act` does, again and again, while active."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act = act
        self.active, self.over = threading.Event(), False
        self.done, self.failure = 0, None
        self.start()

    def goes_on(self):
        return self.active.is_set() and not self.over

    def run(self):
        while not self.over and not self.failure:
            if not self.active.wait(0.05):
                continue
            try:
                self.act(self)
            except OSError:
                time.sleep(0.005)
            except bed.Failure as failure:
                self.failure = failure

    def connected(self, step, sock):
        """A connection, and one step after another on it."""
        with connect(sock) as s:
            while self.goes_on():
                step(s)
                self.done += 1


def connect(sock):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.1)
    try:
        s.connect(sock)
    except OSError:
        s.close()
        raise
    return s


class Asker(threading.Thread):
    """A front-end that asks and asks; how long the answers take."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.socket = connect(sock)
        self.socket.settimeout(10)
        self.took, self.over = [], False
        self.start()

    def run(self):
        while not self.over:
            began = time.monotonic()
            self.socket.sendall(message(GET_FEATURES))
            if len(self.socket.recv(20)) != 20:
                break
            self.took.append(time.monotonic() - began)
            time.sleep(0.005)

    def longest(self):
        """But for one, since this machine may have been away; then those so far are forgotten."""
        took, self.took = sorted(self.took), []
        check(self.is_alive() and len(took) > 1, "the third port answered %d messages" % len(took))
        return took[-2]

    def close(self):
        self.over = True
        self.join(10)
        self.socket.close()


# ---- what peers do ------------------------------------------------------------------------

def flood(one, bad, _):
    """Requests as fast as they go, their answers never read."""
    one.connected(lambda s: s.sendall(message(SET_VRING_NUM, struct.pack("<II", 0, 256)) * 50),
                  bad)


def flood_anew(one, bad, _):
    """The same on one connection after another."""
    with connect(bad) as s:
        s.sendall(message(SET_VRING_NUM, struct.pack("<II", 0, 256)) * 200 +
                  message(GET_FEATURES))
        one.done += len(s.recv(20)) == 20


def trickle(one, bad, _):
    """One byte now and then of a message that never ends."""
    def step(s):
        s.sendall(message(GET_FEATURES)[:1])
        time.sleep(0.05)
    one.connected(step, bad)


def silence(one, bad, _):
    """A connection, and not a word."""
    one.connected(lambda s: time.sleep(0.05), bad)


def deaf(one, bad, _):
    """Asks on and on and never reads an answer."""
    one.connected(lambda s: s.sendall(message(GET_FEATURES) * 50), bad)


def knock(one, bad, _):
    """Connects and goes, as often as it can."""
    connect(bad).close()
    one.done += 1


@contextlib.contextmanager
def playing(player):
    try:
        player.begin()
        yield player
        player.end()
    finally:
        player.close()


QEMU = next(script for script in scripts.SCRIPTS if script.name == "qemu-10")


def cut_short(one, bad, _):
    """Cuts the file under buffers on every second page, and sends them."""
    with playing(scripts.Player(QEMU, bad)) as guest:
        os.ftruncate(guest.fds[0], 0x100000)
        for k in range(250):
            guest.rings[1].chain(k, [(scripts.GPA + 0x100000 + 0x2000 * k, 100, False)])
        os.eventfd_write(guest.kicks[1], 1)
        with contextlib.suppress(ConnectionResetError):
            check(guest.connection.recv(1) == b"", "the port says something")
        one.done += 1


class LongChain(scripts.Player):
    """One chain of all the entries of a packed ring, over as many regions as there may be."""

    ENTRIES, REGIONS = 32768, 500
    FAR = scripts.GPA + 0x10000000

    def at(self, ring):
        return 0x100000 * (ring + 1)

    def num(self, ring):
        self.send(scripts.NUM, struct.pack("<II", ring, self.ENTRIES))

    def addr(self, ring):
        desc, used, avail = (self.uva + self.at(ring) + part for part in (0, 0x90000, 0x80000))
        self.send(scripts.ADDR, struct.pack("<IIQQQQ", ring, 0, desc, used, avail, 0))

    def add_regions(self):
        far = self.FAR - scripts.GPA + self.uva
        regions = [(scripts.GPA, 0x400000, self.uva, 0)] + [
            (self.FAR + 0x2000 * i, 0x1000, far + 0x2000 * i, 0x400000 + 0x1000 * i)
            for i in range(self.REGIONS)]
        for region in regions:
            self.send(scripts.ADD_REGION, bytes(8) + struct.pack("<QQQQ", *region), self.fds)

    def base(self, ring):
        self.send(scripts.BASE, struct.pack("<II", ring, 0x80008000))


CHAIN = b"".join(struct.pack("<QIHH", LongChain.FAR + 0x2000 * (k % LongChain.REGIONS), 16, 0,
                             (1 if k + 1 < LongChain.ENTRIES else 0) | 1 << 7)
                 for k in range(LongChain.ENTRIES))
PACKED = scripts.Script(
    "packed", features=QEMU.features | scripts.PACKED, protocol=QEMU.protocol, acks=False,
    connect=QEMU.connect, start=QEMU.start)


def long_chains(one, bad, _):
    with playing(LongChain(PACKED, bad)) as guest:
        for ring in (0, 1):
            at = guest.at(ring)
            guest.memory[at:at + len(CHAIN)] = CHAIN
            os.eventfd_write(guest.kicks[ring], 1)
        time.sleep(0.05)
        one.done += 1


class Translated(scripts.Player):
    """Behind an IOMMU, for which the rings lie at their user addresses."""

    def iotlb(self, kind, iova, size, uva=0):
        body = self.send(IOTLB, struct.pack("<QQQBB6x", iova, size, uva, 3, kind), answer=8)
        check(body == bytes(8), "a translation was refused")

    def add_regions(self):
        super().add_regions()
        self.iotlb(UPDATE, self.uva, scripts.SIZE, self.uva)


BEHIND_IOMMU = scripts.Script(
    "behind-iommu", features=QEMU.features | ACCESS_PLATFORM, protocol=QEMU.protocol, acks=False,
    connect=QEMU.connect, start=QEMU.start)


def translations(one, bad, _):
    """Maps and unmaps as fast as it can, and never says where its buffers are."""
    with playing(Translated(BEHIND_IOMMU, bad)) as guest:
        guest.rings[1].chain(0, [(0x70000000, 100, False)])
        while one.goes_on():
            guest.iotlb(UPDATE, 0x10000, 0x1000, guest.uva)
            guest.iotlb(INVALIDATE, 0x10000, 0x1000)
            one.done += 1


class Missing(scripts.Player):
    """Comes by post-copy: of its memory all has come but what lies behind HOLE, and never does."""

    HOLE = 0x100000

    def add_regions(self):
        punch = ctypes.CDLL(None).fallocate
        check(punch(self.fds[0], 3, ctypes.c_long(self.HOLE),
                    ctypes.c_long(scripts.SIZE - self.HOLE)) == 0, "no hole in a memfd")
        self.send(POSTCOPY_ADVISE, answer=0)
        self.send(POSTCOPY_LISTEN)
        self.send(ADD_MEM_REG, struct.pack("<QQQQQ", 0, scripts.GPA, scripts.SIZE, self.uva, 0),
                  self.fds[:1], answer=40)
        self.connection.sendall(message(ADD_MEM_REG, bytes(8)))


POSTCOPY = scripts.Script(
    "post-copy", features=QEMU.features, protocol=QEMU.protocol | PAGEFAULT, connect=QEMU.connect,
    start=QEMU.start)


def missing_pages(one, bad, _):
    """Sends packets in pages that do not come, and goes on talking."""
    with playing(Missing(POSTCOPY, bad)) as guest:
        guest.rings[1].chain(0, [(scripts.GPA + Missing.HOLE, 100, False)])
        while one.goes_on():
            check(guest.ask(GET_QUEUE_NUM) > 0, "no answer")
            time.sleep(0.002)
            one.done += 1
        check(not guest.rings[1].used(), "a packet was taken whose page has not come")


LOGGED = scripts.Script(
    "logged", features=QEMU.features | LOG_ALL, protocol=QEMU.protocol | LOG_SHMFD,
    connect=QEMU.connect, start=QEMU.start)


def cut_log(one, bad, _):
    """Migrates, and cuts the dirty log short while it is written."""
    size = 1 << 20
    log = scripts.memfd(size)
    try:
        with playing(scripts.Player(LOGGED, bad)) as guest:
            guest.send(SET_LOG_BASE, struct.pack("<QQ", size, 0), [log], answer=8)
            desc, used, avail = (guest.uva + guest.at(1) + part for part in guest.rings[1].parts)
            guest.send(scripts.ADDR, struct.pack("<IIQQQQ", 1, 1, desc, used, avail,
                                                 scripts.GPA + guest.at(1) + 0x4000))
            os.ftruncate(log, 0)
            for k in range(16):
                guest.rings[1].chain(k, [(scripts.GPA + 0x100000, 100, False)])
            with contextlib.suppress(ConnectionResetError):
                check(guest.connection.recv(1) == b"", "the port says something")
            one.done += 1
    finally:
        os.close(log)


def close_waits(one, bad, _):
    """Sends descriptors whose close waits for a peer that reads nothing."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(bad) as s:
        for _ in range(20):
            tcp = socket.create_connection(listener.getsockname())
            kept.append(listener.accept()[0])
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            tcp.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    tcp.send(bytes(65536))
            send_fd(s, SET_VRING_KICK, struct.pack("<Q", 0), tcp.fileno())
            tcp.close()
            one.done += 1
            s.sendall(message(GET_FEATURES))
            if not s.recv(20):
                break
    for end in kept:
        end.close()


def answers(sock):
    with contextlib.suppress(OSError), connect(sock) as s:
        s.sendall(message(GET_FEATURES))
        return len(s.recv(20)) == 20
    return False


def crossed(one, bad, worse):
    """Makes each of two ports the other's back-end channel, and goes."""
    with connect(bad) as a, connect(worse) as b:
        for s, other in ((a, b), (b, a)):
            s.sendall(message(SET_FEATURES, struct.pack("<Q", scripts.BIT30 | scripts.V1)) +
                      message(SET_PROTOCOL_FEATURES, struct.pack("<Q", BACKEND_REQ)))
            send_fd(s, SET_BACKEND_REQ_FD, b"", other.fileno())
    for sock in (bad, worse):
        bed.wait_for("an answer to the next front-end", lambda: answers(sock), 1)
    one.done += 1


def dies_with_memory(one, bad, _):
    """Goes and leaves much memory to be freed."""
    size = 64 << 20
    fd = scripts.memfd(size)
    try:
        os.posix_fallocate(fd, 0, size)
        with connect(bad) as s:
            send_fd(s, SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, 0, size, 0, 0), fd)
            s.sendall(message(GET_FEATURES))
            one.done += len(s.recv(20)) == 20
    finally:
        os.close(fd)


def slow_back_end(one, _, slow):
    """Is a back-end that needs a second and a half for its answers, and hangs up now and then."""
    back = peer.BackEnd(slow)
    back.delays = {GET_FEATURES: 1.5}
    try:
        while one.goes_on():
            time.sleep(0.3)
            one.done += back.lives > 0
            back.hang_up()
    finally:
        back.close()


# ---- what comes of it ---------------------------------------------------------------------

class Traffic:
    """From one testpmd to port 0 of another, each with a thread that polls."""

    def __init__(self, switch, source):
        self.switch, self.threads = switch, [end.thread("worker") for end in (switch, source)]

    def waited(self):
        """Seconds for which a thread could run and had no processor."""
        waited = 0
        for task in self.threads:
            with open(task + "/schedstat", encoding="ascii") as stat:
                waited += int(stat.read().split()[1]) / 1e9
        return waited

    def rate(self, seconds):
        """Packets a second of the time in which both threads had a processor: what a peer and
        the threads that serve it compute on these two is not what it does to a port."""
        before, waited, began = self.switch.stats(0)["ipackets"], self.waited(), time.monotonic()
        time.sleep(seconds)
        count = self.switch.stats(0)["ipackets"] - before
        took, waited = time.monotonic() - began, self.waited() - waited
        return count / max(took - waited, took / 4)


def undisturbed(traffic, asker, act, bad, other):
    """The median rate beside the peer is that without it, give or take what this machine does; no
    packet is another one, and the third port answers as fast."""
    one = Peer(lambda one: act(one, bad, other))
    longest = 0
    try:
        without, beside, ratio = [], [], 0
        while len(beside) < PAIRS or ratio <= LEAST and len(beside) < MOST_PAIRS:
            without.append(traffic.rate(WINDOW))
            one.active.set()
            time.sleep(0.02)
            asker.longest()
            beside.append(traffic.rate(WINDOW))
            longest = max(longest, asker.longest())
            one.active.clear()
            ratio = statistics.median(b / w for w, b in zip(without, beside))
    finally:
        one.over = True
        one.join(10)
    if one.failure:
        raise one.failure
    check(one.done > 0, "the peer did nothing")
    check(min(without) > 1000, "no traffic to disturb: %d packets a second" % min(without))
    check(ratio > LEAST, "beside the peer %d %% of the packets" % (100 * ratio))
    check(longest <= ANSWER, "the third port answered after %d ms" % (1000 * longest))
    # Counters are read while they count.
    check(any(only_64_bytes(traffic.switch.xstats(0)) for _ in range(10)),
          "packets are not what was sent")


def only_64_bytes(counters):
    return (counters["rx_q0_size_64_packets"] == counters["rx_q0_packets"]
            and counters["rx_errors"] == 0)


def run(report):
    good, bad, worse, asked, slow = (path(name) for name in ("good", "bad", "worse", "asked",
                                                             "slow"))
    ports = ["iface=" + name for name in (good, bad, worse, asked)] + ["path=" + slow]
    ports[1] += ",iommu-support=1,postcopy-support=1"
    switch = bed.Testpmd("switch", [bed.vdev(*port) for port in enumerate(ports)],
                         args=["--forward-mode=rxonly", "--auto-start"], mbufs=8192)
    source = bed.Testpmd("source", ["net_virtio_user0,path=%s" % good], plugin=False, cpu=1,
                         eal=["--single-file-segments"],
                         args=["--forward-mode=txonly", "--auto-start"])
    asker = Asker(asked)
    try:
        switch.wait_link(0)
        traffic = Traffic(switch, source)
        for act in (flood, flood_anew, trickle, silence, deaf, knock, cut_short, long_chains,
                    translations, missing_pages, cut_log, close_waits, dies_with_memory):
            report.case(act.__name__.replace("_", "-"), undisturbed, traffic, asker, act, bad, None)
        report.case("crossed", undisturbed, traffic, asker, crossed, bad, worse)
        report.case("slow-back-end", undisturbed, traffic, asker, slow_back_end, None, slow)
    finally:
        asker.close()
        source.quit()
        switch.quit()
