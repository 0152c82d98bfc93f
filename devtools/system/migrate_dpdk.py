# SPDX-License-Identifier: BSD-3-Clause
"""A guest that migrates from one port to another and back while DPDK in it returns frames: what has
the card there is net_virtio of the distribution's testpmd. The guest's kernel has no part in it."""

import ctypes
import os
import select
import socket
import struct
import threading
import time

import bed
import guest_testpmd
import migrate
import overlay
import pcap
from bed import check

FRAMES_A_SECOND = 200
# DPDK in the guest keeps so many before it returns the first: what only the port has written is on
# its way in the guest's memory at any moment
KEPT = 63
KEPT_MS = 1500      # at most, where none follows
# many frames have pages to themselves, which the guest's writes to its mbufs do not make dirty
MBUF_SIZE = 8320
MBUFS = 2048
SOURCE = "52:54:00:00:00:22"
RARP = 0x8035
IDLE_POLL = "/plugin/idle-poll.so"
CLONE_NEWNET = 0x40000000


def raw(mac):
    return bytes.fromhex(mac.replace(":", ""))


class Echo(threading.Thread):
    """Sends numbered frames to all taps of a network namespace, as a switch does with an address
    that it does not know, and notes what comes back: each frame is to come once, by one of them."""

    def __init__(self, pid, taps):
        super().__init__(daemon=True)
        self.pid, self.taps = pid, taps
        self.sent = []          # the frames, by number
        self.back = []          # number, tap, in the order in which they came
        self.announced = []     # taps that a RARP of the guest came from
        self.foreign = []       # what came and never was sent
        self.sending, self.over, self.broken = True, False, None
        self.sockets = []
        self.entered = threading.Event()

    def enter(self):
        """Sockets in the namespace; of this process, it is this thread alone that goes there."""
        with open("/proc/%d/ns/net" % self.pid) as space:
            if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        for tap in self.taps:
            # what this side sends is not seen, but for ETH_P_ALL
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
            sock.bind((tap, 3))
            self.sockets.append(sock)

    def run(self):
        try:
            self.enter()
            self.entered.set()
            begin = time.monotonic()
            while not self.over:
                due = begin + len(self.sent) / FRAMES_A_SECOND
                self.listen(due - time.monotonic() if self.sending else 0.1)
                if self.sending and time.monotonic() >= due:
                    self.send()
        except Exception as error:  # pylint: disable=broad-except
            self.broken = error
        finally:
            for sock in self.sockets:
                sock.close()
            self.entered.set()

    def send(self):
        number = len(self.sent)
        frame = (raw(migrate.MAC) + raw(SOURCE) + struct.pack(">HI", pcap.ETHERTYPE, number) +
                 os.urandom(40 + number * 7 % 1400))
        self.sent.append(frame)
        for sock in self.towards():
            sock.send(frame)

    def towards(self):
        """Where a frame is sent."""
        return self.sockets

    def listen(self, seconds):
        ready, _, _ = select.select(self.sockets, [], [], max(seconds, 0))
        for sock in ready:
            frame, address = sock.recvfrom(2048)
            if address[2] != socket.PACKET_OUTGOING:
                self.came(self.sockets.index(sock), frame)

    def came(self, tap, frame):
        kind, number = struct.unpack_from(">HI", frame, 12)
        if kind == RARP and frame[6:12] == raw(migrate.MAC):
            self.announced.append(tap)
        elif kind == pcap.ETHERTYPE:
            if number < len(self.sent) and self.same(frame, self.sent[number]):
                self.back.append((number, tap))
            else:
                self.foreign.append(frame)

    def same(self, frame, sent):
        return frame == sent

    def wait_back(self, tap, count):
        """So many more have come back by this tap."""
        before = len(self.back)
        bed.wait_for("%d frames by %s" % (count, self.taps[tap]), lambda: self.broken or sum(
            by == tap for _, by in self.back[before:]) >= count, 10)
        check(not self.broken, "the sender of frames: %r" % self.broken)

    def end(self):
        """No more is sent; what is on its way arrives."""
        self.sending = False
        time.sleep(KEPT_MS / 1000 + 0.5 * bed.PATIENCE)
        self.over = True
        self.join()
        check(not self.broken, "the sender of frames: %r" % self.broken)


class Migration(migrate.Migration):
    """The switch has a tap for each port: 0 and 1 are the first port and its tap, 2 and 3 the
    other one's."""

    TAPS = ("vtap0", "vtap1")
    sender = Echo
    blob_mib = 4    # testpmd leaves other programs half of the guest's processor

    def __init__(self, *arguments, **options):
        self.pmd = None
        programs = [(bed.IDLE_POLL, IDLE_POLL)] if bed.PATIENCE > 1 else []
        self.guest_options = {
            "image": "guest-vdpa", "memory": 384,
            "initrd": overlay.initrd("guest-vdpa", "dpdk", programs)}
        super().__init__(*arguments, **options)

    def switch_on(self):
        devices = []
        for i, tap in enumerate(self.TAPS):
            devices += [bed.vdev(i, self.devargs(i), self.driver), "net_tap%d,iface=%s" % (i, tap)]
        self.switch = bed.Testpmd("switch", devices, args=[
            "--auto-start", "--forward-mode=io", "--rxq=%d" % self.queues,
            "--txq=%d" % self.queues], memory=128, mbufs=8192, prefix=["unshare", "-n"],
            plugin=self.driver == "net_vring")

    def prepare(self):
        guest_testpmd.take_card(self.guest)
        self.pmd = guest_testpmd.GuestTestpmd(
            self.guest, bed.idle_options(IDLE_POLL), memory=80, lcores="0@0,1@0", mbufs=MBUFS,
            args=["--auto-start", "--forward-mode=noisy", "--mbuf-size=%d" % MBUF_SIZE,
                  "--noisy-tx-sw-buffer-size=%d" % (KEPT + 1),
                  "--noisy-tx-sw-buffer-flushtime=%d" % KEPT_MS,
                  "--rxq=%d" % self.queues, "--txq=%d" % self.queues])
        self.wait_carrier()

    def negotiated(self, feature):
        if self.driver != "net_vring":
            return True
        return feature in self.switch.telemetry("/net_vring/features,0")["negotiated"]

    def move_announced(self, echo):
        """One move; the new port hears of the guest, whose traffic is there."""
        heard = len(echo.announced)
        still = self.move()
        self.pmd.guest = self.guest
        tap = (self.count - 1) % 2
        bed.wait_for("an announcement by %s" % self.TAPS[tap],
                     lambda: tap in echo.announced[heard:], 5)
        echo.wait_back(tap, FRAMES_A_SECOND // 2)
        return still

    def there_and_back(self, times):
        echo = self.sender(self.switch.pid, self.TAPS)
        echo.start()
        try:
            echo.entered.wait()
            echo.wait_back(0, FRAMES_A_SECOND // 2)
            still = [self.move_announced(echo) for _ in range(times)]
        finally:
            echo.end()
        self.account(echo, still)
        check(self.blob_sum() == self.sum, "a file in the guest's memory changed")
        check(self.pmd.alive(), "testpmd in the guest ended: " + self.pmd.last_line())

    def account(self, echo, still):
        numbers = [number for number, _ in echo.back]
        lost = len(echo.sent) - len(set(numbers))
        twice = len(numbers) - len(set(numbers))
        late = sum(a > b for a, b in zip(numbers, numbers[1:]))
        allowed = (sum(still) + len(still) * migrate.MOST_LOST_S * bed.PATIENCE) * FRAMES_A_SECOND
        print("# %d moves, still for %d to %d ms, %d of %d frames lost, %d announcements" % (
            len(still), 1000 * min(still), 1000 * max(still), lost, len(echo.sent),
            len(echo.announced)), flush=True)
        check(not echo.foreign, "%d frames came that never were sent" % len(echo.foreign))
        check(not twice, "%d frames came twice" % twice)
        # a tap deals frames out to its queues as it likes
        check(not late or self.queues > 1, "%d frames overtook others" % late)
        check(lost <= allowed, "%d of %d frames lost, allowed are %d" % (
            lost, len(echo.sent), allowed))

    def close(self):
        try:
            if self.pmd and self.guest.alive():
                self.pmd.keep_log()
        finally:
            super().close()


def migrates(qemu, device, port, queues, times):
    bench = Migration(qemu, device, port, queues)
    try:
        check(bench.negotiated("VIRTIO_NET_F_GUEST_ANNOUNCE"), "DPDK does not announce itself")
        if "packed" in device:
            check(bench.negotiated("VIRTIO_F_RING_PACKED"), "the ring is not packed")
        bench.there_and_back(times)
        bench.said()
    finally:
        bench.close()


# name, QEMU, options of the card, arguments of the port, queues
CASES = (
    ("qemu10-split", 10, "", "", 1),
    ("qemu10-packed", 10, "packed=on", "", 2),
)
# DPDK hears of no event by a card without MSI-X vectors; it uses none, which this QEMU would not
# survive
LONG_CASES = CASES + (
    ("qemu7-split", 7, "vectors=3", "", 1),
    ("qemu7-packed", 7, "vectors=3,packed=on", "", 1),
)


def run(report):
    for name, *arguments in CASES:
        report.case(name, migrates, *arguments, 2)
