# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends as their sources show them: each is played from its connection to packets and to the
next connection, against a port of testpmd. Nobody needs the virtual machine monitors for that.

A script is a list of steps. A step is a message (see Player); behind "each ring:" and up to the
next semicolon stand those that are sent for one ring after the other.
"""

import array
import collections
import fcntl
import mmap
import os
import socket
import struct
import time

import bed
from bed import check, path

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
NUM, ADDR, BASE, GET_BASE, KICK, CALL, ERR = 8, 9, 10, 11, 12, 13, 14
GET_PROTOCOL, SET_PROTOCOL, GET_QUEUE_NUM, ENABLE = 15, 16, 17, 18
NET_SET_MTU, SET_CHANNEL, GET_SLOTS, ADD_REGION, SET_STATUS, GET_STATUS = 20, 21, 36, 37, 39, 40
NEED_REPLY, REPLY_ACK = 8, 1 << 3

CSUM, GUEST_CSUM, MTU, MAC, GSO = 1 << 0, 1 << 1, 1 << 3, 1 << 5, 1 << 6
GUEST_TSO, HOST_TSO = 0xf << 7, 0xf << 11
MRG, STATUS, CTRL_VQ, CTRL_RX, ANNOUNCE, MQ = 1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 21, 1 << 22
INDIRECT, EVENT_IDX, BIT30, V1 = 1 << 28, 1 << 29, 1 << 30, 1 << 32
PACKED = 1 << 34

# what drivers/net/virtio_net.c of Linux takes of an offer
LINUX = (CSUM | GUEST_CSUM | MTU | GUEST_TSO | HOST_TSO | MRG | STATUS | CTRL_VQ | CTRL_RX |
         ANNOUNCE | MQ | INDIRECT | EVENT_IDX | V1)
# what QEMU takes of a back-end (user_feature_bits of hw/net/vhost_net.c), and its guest has
QEMU = (CSUM | GUEST_CSUM | MTU | GUEST_TSO | HOST_TSO | MRG | ANNOUNCE | MQ | INDIRECT |
        EVENT_IDX | V1 | BIT30)

Z = 256             # entries of a ring
GPA, UVA = 0x40000000, 0x7f0000000000
SIZE = 8 << 20
FRAMES = 40         # there and back, each time


class Script:
    """What a front-end does: see Player for the words."""

    def __init__(self, name, connect, start, stop="", again=None, features=QEMU, protocol=0x9,
                 base="zero", base_again=None, queues="pairs", call="event",
                 listens=False, cvq=False, gpa_is_uva=False, acks=True, keeps_rings=True):
        self.name, self.connect, self.start, self.stop = name, connect, start, stop
        self.again = again          # instead of connect, the next time; None: the same
        self.features, self.protocol = features, protocol
        self.base = {False: base, True: base_again or base}
        self.queues = queues        # what it takes GET_QUEUE_NUM for
        self.call = call
        self.listens, self.cvq, self.gpa_is_uva = listens, cvq, gpa_is_uva
        self.acks = acks            # asks for an answer to each message, once that is negotiated
        self.keeps_rings = keeps_rings  # the guest lives on; else it is a new one


# From QEMU's hw/virtio/vhost-user.c, vhost.c and net/vhost-user.c of each version;
# drivers/net/virtio of DPDK 22.11; virtio-devices/src/vhost_user of cloud-hypervisor;
# devices/src/virtio/vhost_user_frontend of crosvm; dbs_virtio_devices/src/vhost/vhost_user of
# Dragonball (Kata Containers); virtio/src/vhost/user of StratoVirt; arch/um/drivers/virtio_uml.c of
# Linux; src/devices/src/virtio/vhost_user of libkrun.
SCRIPTS = [
    Script("qemu-2.8", protocol=0xf, base="given", acks=False,
           connect="get_features get_protocol set_protocol get_queue_num set_owner get_features "
                   "each ring: call",
           start="set_features mem_table each ring: num base addr kick call; each ring: enable",
           stop="each ring: get_base"),
    Script("qemu-7.2", protocol=0x1fdff, base="given", base_again="used", acks=False,
           connect="get_features get_protocol set_protocol get_queue_num get_slots channel "
                   "set_owner get_features each ring: call err; each ring: enable",
           start="set_features add_regions each ring: num base addr kick call; status:15",
           stop="each ring: get_base; status:0"),
    Script("qemu-10", protocol=0xfffff, base="given", base_again="used", acks=False,
           connect="get_features get_protocol set_protocol get_queue_num get_slots channel "
                   "set_owner get_features each ring: call err",
           start="set_features status:11 add_regions each ring: num base addr kick call; "
                 "each ring: enable; status:15",
           stop="each ring: disable; each ring: get_base; status:0"),
    Script("virtio-user", protocol=0x10009, keeps_rings=False, acks=False,
           features=LINUX & ~(CTRL_VQ | STATUS | ANNOUNCE) | BIT30,
           connect="set_owner get_features get_protocol set_protocol status:0 status:3",
           start="set_features status:11 get_status each ring: call; mem_table "
                 "each ring: num base addr kick; each ring: enable; status:15",
           stop="each ring: get_base; status:0"),
    Script("cloud-hypervisor", protocol=0x900b, base="avail", queues="rings",
           features=CSUM | GUEST_CSUM | GUEST_TSO | HOST_TSO | MRG | CTRL_VQ | EVENT_IDX | V1 |
           BIT30,
           connect="set_owner get_features get_protocol set_protocol get_queue_num",
           start="set_features mem_table each ring: num; each ring: addr base call kick; "
                 "each ring: enable",
           again="set_owner get_features set_protocol"),
    Script("crosvm", protocol=0x100229 | 1 << 19, base="used", queues="all", cvq=True, acks=False,
           features=LINUX | BIT30,
           connect="set_owner get_features get_protocol set_protocol channel get_queue_num",
           start="set_features mem_table each ring: num addr base call kick enable",
           stop="each ring: disable get_base"),
    Script("dragonball", protocol=0x1, queues="rings", listens=True, base_again="none", acks=False,
           features=LINUX & ~(CTRL_VQ | CTRL_RX | ANNOUNCE | MQ) | BIT30,
           connect="get_features set_owner get_features set_features get_protocol set_protocol "
                   "get_queue_num each ring: call",
           start="mem_table each ring: num; each ring: base; each ring: addr; each ring: kick; "
                 "each ring: call; each ring: enable"),
    Script("stratovirt", base="zero", base_again="avail", acks=False,
           features=V1 | GUEST_CSUM | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 14 | MRG | EVENT_IDX,
           connect="get_features set_owner", again="set_owner",
           start="set_features mem_table each ring: num; each ring: addr base kick call; "
                 "each ring: enable"),
    Script("stratovirt-base-0", acks=False,
           features=V1 | GUEST_CSUM | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 14 | MRG | EVENT_IDX,
           connect="get_features set_owner", again="set_owner",
           start="set_features mem_table each ring: num; each ring: addr base kick call; "
                 "each ring: enable"),
    Script("user-mode-linux", protocol=0x4228, call="socket", cvq=True,
           gpa_is_uva=True, features=LINUX | BIT30, keeps_rings=False,
           connect="set_owner get_features get_protocol set_protocol channel",
           start="set_features mem_table_whole each ring: call num base addr; "
                 "each ring: kick enable",
           stop="each ring: disable; get_features"),
    Script("user-mode-linux-packed", protocol=0x4228, call="socket", cvq=True,
           gpa_is_uva=True, features=LINUX | BIT30 | PACKED, keeps_rings=False,
           connect="set_owner get_features get_protocol set_protocol channel",
           start="set_features mem_table_whole each ring: call num base addr; "
                 "each ring: kick enable",
           stop="each ring: disable; get_features"),
    Script("libkrun", protocol=0x201, queues="all", cvq=True, keeps_rings=False, acks=False,
           features=LINUX | BIT30,
           connect="get_features get_protocol set_protocol get_queue_num",
           start="set_owner mem_table set_features each ring: num base addr kick call enable"),
]


def memfd(size, flags=0, seals=0):
    fd = os.memfd_create("guest", flags | (2 if seals else 0))
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, 1033, seals)  # F_ADD_SEALS
    return fd


def store16(memory, at, value):
    """Written at once: struct.pack_into() clears the bytes and then writes one at a time."""
    with memoryview(memory) as view, view.cast("H") as words:
        words[at // 2] = value


class Split:
    """The driver's side of a split ring, in memory that may already have been in use."""

    def __init__(self, memory, at):
        self.m, self.at = memory, at
        self.sent, = struct.unpack_from("<H", memory, at + 0x2002)
        self.taken = self.used_idx()

    parts = (0, 0x4000, 0x2000)  # descriptors, used, avail: as SET_VRING_ADDR has them

    def used_idx(self):
        return struct.unpack_from("<H", self.m, self.at + 0x4002)[0]

    def offer(self, index, gpa, length, write, more=0, following=0):
        """One descriptor, the head of a chain unless `more` says otherwise."""
        struct.pack_into("<QIHH", self.m, self.at + 16 * index, gpa, length,
                         (2 if write else 0) | (1 if more else 0), following)

    def publish(self, index):
        struct.pack_into("<H", self.m, self.at + 0x2004 + 2 * (self.sent % Z), index)
        self.sent = (self.sent + 1) & 0xffff
        store16(self.m, self.at + 0x2002, self.sent)

    def chain(self, index, pieces):
        for k, (gpa, length, write) in enumerate(pieces):
            self.offer(index + k, gpa, length, write, k + 1 < len(pieces), index + k + 1)
        self.publish(index)

    def used(self):
        """Indexes and lengths of what came back since the last time."""
        found = []
        while self.taken != self.used_idx():
            found.append(struct.unpack_from("<II", self.m,
                                            self.at + 0x4004 + 8 * (self.taken % Z)))
            self.taken = (self.taken + 1) & 0xffff
        return found

    def indexes(self):
        return self.sent, self.used_idx()


class Packed:
    """The same of a packed ring."""

    parts = (0, 0x4000, 0x2000)

    def __init__(self, memory, at):
        self.m, self.at = memory, at
        self.slot, self.wrap, self.next, self.round = 0, True, 0, True
        self.slots = {}

    def chain(self, index, pieces):
        entries = []
        for k, (gpa, length, write) in enumerate(pieces):
            flags = (2 if write else 0) | (1 if k + 1 < len(pieces) else 0)
            flags |= 1 << 7 if self.wrap else 1 << 15
            entries.append((self.at + 16 * self.slot, gpa, length, flags))
            self.slot += 1
            if self.slot == Z:
                self.slot, self.wrap = 0, not self.wrap
        self.slots[index] = len(pieces)
        for at, gpa, length, flags in reversed(entries):  # the head last
            struct.pack_into("<QIH", self.m, at, gpa, length, index)
            store16(self.m, at + 14, flags)

    def used(self):
        found = []
        while True:
            _, length, index, flags = struct.unpack_from("<QIHH", self.m,
                                                         self.at + 16 * self.next)
            if (flags >> 7 & 1, flags >> 15) != (self.round, self.round):
                return found
            found.append((index, length))
            self.next += self.slots.pop(index)
            if self.next >= Z:
                self.next, self.round = self.next - Z, not self.round

    def indexes(self):
        return 0, 0


class Player:
    """A front-end and its guest, which has one pair of rings and maybe a control queue."""

    def __init__(self, script, sock, listener=None, fds=None):
        self.script, self.sock, self.listener = script, sock, listener
        self.fds = fds or [memfd(SIZE)]
        self.maps = [mmap.mmap(fd, SIZE) for fd in self.fds]
        self.memory = self.maps[0]
        self.uva = GPA if script.gpa_is_uva else UVA
        self.channel = None
        self.again = False
        self.number = 0
        self.connection = None
        self.new_guest()

    def new_guest(self):
        self.memory[:] = bytes(SIZE)
        self.rings = None
        self.given = {}

    # messages

    def send(self, request, payload=b"", fds=(), answer=None):
        """answer: bytes of a reply that is due anyway."""
        need = answer is None and self.acks
        header = struct.pack("<III", request, 1 | (NEED_REPLY if need else 0), len(payload))
        self.connection.sendmsg([header + payload], [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        if answer is None and not need:
            return None
        reply = self.receive(12)
        check(len(reply) == 12, "message %d: the port closed the connection" % request)
        number, flags, size = struct.unpack("<III", reply)
        check((number, flags) == (request, 5), "message %d is answered by %d, flags %d" % (
            request, number, flags))
        body = self.receive(size)
        if need:
            check(body == bytes(8), "message %d was refused" % request)
            return None
        check(size == answer, "message %d: %d bytes of answer" % (request, size))
        return body

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.connection.recv(size - len(data))
            if not more:
                break
            data += more
        return data

    def ask(self, request):
        return struct.unpack("<Q", self.send(request, answer=8))[0]

    def u64(self, request, value, fds=()):
        self.send(request, struct.pack("<Q", value), fds)

    # steps of scripts

    def get_features(self):
        offered = self.ask(GET_FEATURES)
        check(offered & BIT30, "no protocol features")
        if self.script.cvq:  # which passes all of it on
            check(not offered & (MQ | ANNOUNCE | CTRL_RX) or offered & CTRL_VQ,
                  "0x%x cannot be what a Linux guest is shown: it refuses to probe" % offered)
            check(not offered & (STATUS | MAC),
                  "0x%x sends the guest to a configuration that nobody has" % offered)
        self.features = offered & self.script.features

    def set_features(self):
        self.u64(SET_FEATURES, self.features)

    def get_protocol(self):
        self.protocol = self.ask(GET_PROTOCOL) & self.script.protocol

    def set_protocol(self):
        self.u64(SET_PROTOCOL, self.protocol)
        self.acks = self.script.acks and bool(self.protocol & REPLY_ACK)

    def set_owner(self):
        self.send(SET_OWNER)

    def get_queue_num(self):
        number = self.ask(GET_QUEUE_NUM)
        least = {"pairs": 1, "rings": 2, "all": 2 + self.script.cvq}[self.script.queues]
        check(number >= least, "GET_QUEUE_NUM answers %d: it refuses the port" % number)

    def get_slots(self):
        if self.protocol & 1 << 15:
            check(self.ask(GET_SLOTS) >= 8, "fewer memory slots than a table has regions")

    def channel_fd(self):
        if not self.protocol & 1 << 5:
            return
        self.channel, right = socket.socketpair()
        theirs = right.detach()
        self.send(SET_CHANNEL, b"", [theirs])
        os.close(theirs)

    def regions(self):
        return [struct.pack("<QQQQ", GPA + i * SIZE, SIZE, self.uva + i * SIZE, 0)
                for i in range(len(self.fds))]

    def mem_table(self, room=0):
        table = struct.pack("<II", len(self.fds), 0) + b"".join(self.regions())
        self.send(SET_MEM_TABLE, table.ljust(room, b"\0"), self.fds)

    def mem_table_whole(self):
        self.mem_table(8 + 2 * 32)

    def add_regions(self):
        if not self.protocol & 1 << 15:
            self.mem_table()
            return
        for region, fd in zip(self.regions(), self.fds):
            self.send(ADD_REGION, bytes(8) + region, [fd])

    def status(self, value):
        if self.protocol & 1 << 16:
            self.u64(SET_STATUS, value)

    def get_status(self):
        check(self.ask(GET_STATUS) & 8, "the features are not kept")

    # of one ring

    def at(self, ring):
        return 0x10000 * (ring + 1)

    def num(self, ring):
        self.send(NUM, struct.pack("<II", ring, Z))

    def addr(self, ring):
        desc, used, avail = (self.uva + self.at(ring) + part for part in Split.parts)
        log = 0xffffffffffffffff if self.script.gpa_is_uva else 0
        self.send(ADDR, struct.pack("<IIQQQQ", ring, 0, desc, used, avail, log))

    def base(self, ring):
        avail, used = self.rings[ring].indexes()
        base = {"zero": 0, "none": None, "avail": avail, "used": used,
                "given": self.given.get(ring, 0)}[self.script.base[self.again]]
        if base is not None:
            self.send(BASE, struct.pack("<II", ring, base))

    def get_base(self, ring):
        body = self.send(GET_BASE, struct.pack("<II", ring, 0), answer=8)
        self.given[ring] = struct.unpack("<II", body)[1]

    def call(self, ring):
        if self.script.call == "socket":
            ours, theirs = (end.detach() for end in socket.socketpair())
            self.keep.append(ours)
            self.calls[ring] = ours
        else:
            ours = theirs = os.eventfd(0, os.EFD_NONBLOCK)
            self.calls[ring] = os.dup(ours)
            self.keep.append(self.calls[ring])
        self.u64(CALL, ring, [theirs])
        os.close(theirs)

    def err(self, ring):
        fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.u64(ERR, ring, [fd])
        os.close(fd)

    def kick(self, ring):
        self.kicks[ring] = os.eventfd(0, os.EFD_NONBLOCK)
        self.keep.append(self.kicks[ring])
        self.u64(KICK, ring, [self.kicks[ring]])

    def enable(self, ring):
        self.send(ENABLE, struct.pack("<II", ring, 1))

    def disable(self, ring):
        self.send(ENABLE, struct.pack("<II", ring, 0))

    def play(self, text):
        """Run steps: see the module."""
        words = collections.deque(text.replace(";", " ; ").split())
        while words:
            word = words.popleft()
            if word == "each":
                words.popleft()
                steps = []
                while words and words[0] != ";":
                    steps.append(words.popleft())
                for ring in range(len(self.rings)):
                    for step in steps:
                        getattr(self, step)(ring)
            elif word != ";":
                name, _, value = word.partition(":")
                step = getattr(self, {"channel": "channel_fd"}.get(name, name))
                step(*([int(value)] if value else []))

    # its life

    def begin(self):
        """Connect and set everything up, the first time or again."""
        self.keep, self.calls, self.kicks = [], {}, {}
        self.acks = False
        if self.listener:
            self.listener.settimeout(10 * bed.PATIENCE)
            self.connection = self.listener.accept()[0]
        else:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(self.sock)
        self.connection.settimeout(5 * bed.PATIENCE)
        if self.rings is None or not self.script.keeps_rings:
            self.new_guest()
            layout = Packed if self.script.features & PACKED else Split
            self.rings = [layout(self.memory, self.at(q)) for q in range(2 + self.script.cvq)]
        script = self.script
        self.play(script.again if self.again and script.again is not None else script.connect)
        self.play(script.start)
        check(self.ask(GET_FEATURES), "the port does not answer")

    def end(self):
        """Go without a word, as one does whose back-end or self has died."""
        self.connection.close()
        if self.channel:
            self.channel.close()
            self.channel = None
        for fd in self.keep:
            os.close(fd)
        self.again = True

    def header(self):
        return 12 if self.features & (V1 | MRG) else 10

    def wait_used(self, ring, count):
        found = []

        def enough():
            found.extend(self.rings[ring].used())
            return len(found) >= count
        try:
            bed.wait_for("packets", enough, 5, 0.002)
        except bed.Failure:
            raise bed.Failure("ring %d: %d of %d buffers came back" % (ring, len(found), count))
        check(len(found) == count, "ring %d: %d of %d buffers came back" % (
            ring, len(found), count))
        return found

    def command(self, class_, cmd, data):
        """One command on the control queue; its answer."""
        at = 0x80000
        self.memory[at:at + 2] = bytes([class_, cmd])
        self.memory[at + 16:at + 16 + len(data)] = data
        self.memory[at + 64] = 0xaa
        self.rings[2].chain(0, [(GPA + at, 2, False), (GPA + at + 16, len(data), False),
                                (GPA + at + 64, 1, True)])
        os.eventfd_write(self.kicks[2], 1)
        self.wait_used(2, 1)
        return self.memory[at + 64]

    def exchange(self, sending):
        """Frames go to the port, which returns them: all, in order, unaltered."""
        if self.script.cvq and self.features & CTRL_VQ:
            check(self.command(0, 0, b"\1") == 0, "the guest cannot set its receive mode")
            check(self.command(4, 0, b"\1\0") == 0, "the guest cannot use its one pair")
        back, memory = [], self.memory
        # where those go that the port returns, and those that it is to return
        for k in range(FRAMES):
            self.rings[0].chain(k, [(GPA + 0x100000 + 2048 * k, 2048, True)])
        for k in range(FRAMES):
            self.number += 1
            frame = struct.pack(">6s6sHQ", b"\xff" * 6, b"\x52\x54\0\0\0\1", 0x88b5,
                                self.number).ljust(60, b"\x5a")
            packet = bytes(self.header()) + frame
            at = 0x200000 + 2048 * k
            memory[at:at + len(packet)] = packet
            sending.append(frame)
            self.rings[1].chain(k, [(GPA + at, len(packet), False)])
        sent = self.wait_used(1, FRAMES)
        check(sorted(i for i, _ in sent) == list(range(FRAMES)), "others came back than were sent")
        for index, length in self.wait_used(0, FRAMES):
            at = 0x100000 + 2048 * index
            back.append(memory[at + self.header():at + length])
        check(back == sending[-FRAMES:], "%d of %d frames are what was sent" % (
            sum(a == b for a, b in zip(back, sending[-FRAMES:])), FRAMES))
        if self.script.call == "socket":
            check(os.read(self.calls[0], 8) == struct.pack("<Q", 1), "no call in the socket")

    def leave_waiting(self):
        """Send a few more that nobody takes, for the port is not there any more."""
        for k in range(3):
            self.number += 1
            self.rings[1].chain(FRAMES + k, [(GPA + 0x200000, self.header() + 60, False)])

    def close(self):
        for memory, fd in zip(self.maps, self.fds):
            memory.close()
            os.close(fd)


def played(script, sock, fds=None, make=Player):
    """Connect, packets; stop and start on the same connection; connect again, packets."""
    listener = None
    if script.listens:
        if os.path.exists(sock):
            os.unlink(sock)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sock)
        listener.listen(1)
    player = make(script, sock, listener, fds)
    sent = []
    try:
        player.begin()
        player.exchange(sent)
        if script.stop:
            player.play(script.stop)
        player.end()
        waiting = script.keeps_rings and not script.features & PACKED
        if waiting:
            player.leave_waiting()
        player.begin()
        if waiting:  # what was sent meanwhile goes first, and is returned into no buffer
            check([i for i, _ in player.wait_used(1, 3)] == [FRAMES, FRAMES + 1, FRAMES + 2],
                  "what waited did not go first")
            time.sleep(0.05)
        player.exchange(sent)
        player.end()
    finally:
        player.close()
        if listener:
            listener.close()


def offers(sock):
    """A port of one pair says what a VMM that counts rings needs, and QEMU may have it all."""
    player = Player(SCRIPTS[0], sock)
    try:
        player.begin()
        number = player.ask(GET_QUEUE_NUM)
        check(number >= 3, "GET_QUEUE_NUM answers %d" % number)
        for ring in range(2, 2 * number):
            player.send(NUM, struct.pack("<II", ring, Z))
        check(player.ask(GET_FEATURES), "the port does not answer")
        player.end()
    finally:
        player.close()


def left_alone(sock):
    """User-Mode Linux and cloud-hypervisor reset a device by disabling its rings, and no more."""
    player = Player(SCRIPTS[0], sock)
    try:
        player.begin()
        player.exchange([])
        player.play("each ring: disable; get_features")
        before = player.memory[:0x100000]
        player.leave_waiting()
        after = player.memory[:0x100000]
        time.sleep(0.2)
        check(player.memory[:0x100000] == after != before, "a ring was written to")
        player.play("each ring: enable")
        player.wait_used(1, 3)
        player.end()
    finally:
        player.close()


def mtus(sock, switch):
    """An MTU whose frames the port would drop is refused, with what would allow it."""
    player = Player(SCRIPTS[0], sock)
    try:
        player.begin()
        player.acks = True
        player.u64(NET_SET_MTU, 9702)
        try:
            player.u64(NET_SET_MTU, 9703)
        except bed.Failure as failure:
            check("was refused" in str(failure), str(failure))
        else:
            raise bed.Failure("an MTU of 9703 was taken")
        bed.wait_for("what would be right in the log", lambda: "mtu=9703" in switch.log())
        player.end()
    finally:
        player.close()


def run(report):
    server, client, quiet = path("fe.sock"), path("fe-listens.sock"), path("fe-quiet.sock")
    switch = bed.Testpmd(
        "switch", [bed.vdev(0, "iface=" + server),
                   bed.vdev(1, "iface=%s,client=1,reconnect-ms=20" % client),
                   bed.vdev(2, "iface=" + quiet)],
        args=["--forward-mode=io", "--port-topology=loop", "--auto-start"])
    try:
        for script in SCRIPTS:
            report.case(script.name, played, script, client if script.listens else server)
        if bed.DRV == "net_vring":
            report.case("queue-num", offers, server)
        report.case("disabled-rings", left_alone, server)
        report.case("log", lambda: check(
            " refused: " not in switch.log(), "the port refused something: " + next(
                (line for line in switch.log().splitlines() if " refused: " in line), "")))
        if bed.DRV == "net_vring":
            # of whom the log does not leave out lines of this second
            report.case("mtu", mtus, quiet, switch)
    finally:
        switch.quit()
