# SPDX-License-Identifier: BSD-3-Clause
"""The port as a front-end whose back-end has doorbells: pages of memory that take the place of
kicks. No back-end of this machine has hardware behind it, so there is one made to order here."""

import mmap
import os
import select
import socket
import struct
import threading
import time

import bed
from bed import check, path

PAGE = mmap.PAGESIZE
RING = 1            # the one that the application sends by
NO_FD = 0x100
UNTOUCHED = 0xffff
HEAD = struct.Struct("=III")
(GET_FEATURES, GET_VRING_BASE, SET_VRING_KICK, GET_PROTOCOL_FEATURES,
 SET_BACKEND_REQ_FD) = 1, 11, 12, 15, 21
HOST_NOTIFIER = 3
# VERSION_1 and protocol features; REPLY_ACK, BACKEND_REQ, BACKEND_SEND_FD, HOST_NOTIFIER
FEATURES, PROTOCOL = 1 << 32 | 1 << 30, 1 << 3 | 1 << 5 | 1 << 10 | 1 << 11


class BackEnd(threading.Thread):
    """Says yes to everything, moves no packet, and keeps what notifies it."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.kick, self.channel = -1, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(sock)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            peer = self.listener.accept()[0]
            while self.serve(peer):
                pass
            peer.close()

    def serve(self, peer):
        """One message; False: the front-end has gone."""
        head, fds, _, _ = socket.recv_fds(peer, HEAD.size, 16)
        if len(head) < HEAD.size:
            return False
        request, flags, size = HEAD.unpack(head)
        body = peer.recv(size, socket.MSG_WAITALL) if size else b""
        if request == SET_BACKEND_REQ_FD:
            self.channel = socket.socket(fileno=fds.pop())
        elif request == SET_VRING_KICK and body[0] == RING:
            self.kick = fds.pop()
        for fd in fds:
            os.close(fd)
        answers = {GET_FEATURES: struct.pack("=Q", FEATURES),
                   GET_PROTOCOL_FEATURES: struct.pack("=Q", PROTOCOL),
                   GET_VRING_BASE: body[:4] + bytes(4)}
        if request in answers or flags & 8:
            answer = answers.get(request, bytes(8))
            peer.sendall(HEAD.pack(request, 5, len(answer)) + answer)
        return True

    def give(self, fd=None, offset=0):
        """Give the ring a doorbell, or take it away; 0: the front-end agrees."""
        body = struct.pack("=QQQ", RING | (NO_FD if fd is None else 0), PAGE, offset)
        socket.send_fds(self.channel, [HEAD.pack(HOST_NOTIFIER, 9, len(body)) + body],
                        [] if fd is None else [fd])
        answer = self.channel.recv(HEAD.size + 8, socket.MSG_WAITALL)
        return struct.unpack_from("=Q", answer, HEAD.size)[0]

    def kicked(self, seconds=0.0):
        """Whether the descriptor was written to since the last question."""
        if not select.select([self.kick], [], [], seconds)[0]:
            return False
        os.read(self.kick, 8)
        return True


class Bench:
    """A port, the back-end, and a file of two pages of which the second is the doorbell."""

    def __init__(self):
        self.fd = os.memfd_create("doorbell")
        os.ftruncate(self.fd, 2 * PAGE)
        self.page = mmap.mmap(self.fd, 2 * PAGE)
        if os.path.exists(path("d")):
            os.unlink(path("d"))
        self.back = BackEnd(path("d"))
        self.port = bed.Testpmd("fe", ["net_vring0,path=" + path("d")], cpu=1, memory=64,
                                eal=["--single-file-segments"])
        self.port.wait_link(0)

    def status(self, key):
        return self.port.telemetry("/net_vring/status,0")[key]

    def forget(self):
        """What was rung so far."""
        self.back.kicked()
        struct.pack_into("=H", self.page, PAGE, UNTOUCHED)

    def rung(self):
        return struct.unpack_from("=H", self.page, PAGE)[0]

    def give(self):
        check(self.back.give(self.fd, PAGE) == 0, "the doorbell was refused")
        bed.wait_for("a doorbell in use", lambda: self.status("doorbells") == 1, 2)

    def send(self):
        """Fill the ring, which nobody empties."""
        self.port.cmd("set fwd txonly")
        self.port.cmd("start")
        time.sleep(0.1)
        self.port.cmd("stop")

    def restart(self):
        for command in ("port stop 0", "port start 0"):
            self.port.cmd(command)
        self.port.wait_link(0)
        self.forget()

    def close(self):
        self.port.quit()
        self.page.close()
        os.close(self.fd)


def rings(bench):
    """A store to the page instead of a kick, until the ring stops."""
    bench.forget()
    bench.send()
    check(bench.back.kicked(), "no kick")
    bench.restart()
    bench.give()
    # whatever came before the change is told again
    bed.wait_for("the first ring of the bell", lambda: bench.rung() == RING, 2)
    bench.forget()
    bench.send()
    check(bench.rung() == RING, "the page has 0x%x" % bench.rung())
    check(not bench.back.kicked(), "a kick, too")
    bench.restart()
    check(bench.status("doorbells") == 0, "the doorbell of a ring that was stopped is in use")
    bench.send()
    check(bench.back.kicked() and bench.rung() == UNTOUCHED, "no kick, but the page has 0x%x"
          % bench.rung())


def taken_away(bench):
    """Without a doorbell there are kicks again, and none is lost in between."""
    bench.give()
    bench.forget()
    check(bench.back.give() == 0, "taking it away was refused")
    check(bench.back.kicked(2), "no kick afterwards")
    check(bench.status("doorbells") == 0, "the doorbell is in use")
    bench.forget()
    bench.send()
    check(bench.back.kicked() and bench.rung() == UNTOUCHED, "no kick, but the page has 0x%x"
          % bench.rung())


def refused(bench):
    """Not a page, and not a file of pages: it goes on as it was."""
    bench.give()
    for fd, offset in ((bench.fd, 1), (bench.fd, 2 * PAGE), (bench.back.kick, 0)):
        check(bench.back.give(fd, offset) != 0, "offset %d of %d was taken" % (offset, fd))
    bench.forget()
    bench.send()
    check(bench.rung() == RING, "the page has 0x%x" % bench.rung())


def cut_short(bench):
    """The page goes under the port: the session ends, and another begins."""
    bench.give()
    before = bench.status("disconnects")
    os.ftruncate(bench.fd, 0)
    bench.send()
    bed.wait_count("ends of the session", lambda: bench.status("disconnects"), before + 1, 3)
    check("notifier" in bench.status("last_disconnect"), bench.status("last_disconnect"))
    bench.port.wait_link(0)
    bench.back.kicked()
    bench.send()
    check(bench.back.kicked(), "no kick")


def run(report):
    for name, case in (("doorbell", rings), ("doorbell-taken-away", taken_away),
                       ("doorbell-refused", refused), ("doorbell-cut-short", cut_short)):
        def one(body=case):
            bench = Bench()
            try:
                body(bench)
            finally:
                bench.close()
        report.case(name, one)
