# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user back-end in Python: what back-ends of other makes do, and ours do not."""

import array
import mmap
import os
import socket
import struct
import threading
import time

(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR,
 GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE, SEND_RARP,
 NET_SET_MTU) = 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20
SET_BACKEND_REQ_FD, GET_CONFIG, RESET_DEVICE, SET_STATUS, GET_STATUS = 21, 24, 34, 39, 40
RESET_OWNER = 4
CONFIG_CHANGE = 2    # on the back-end channel
ABOUT_RINGS = (SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK,
               SET_VRING_CALL, SET_VRING_ERR, SET_VRING_ENABLE)
ASKS = (GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_VRING_BASE, GET_CONFIG,
        GET_STATUS)
FEATURES = 1 << 32 | 1 << 30 | 1 << 22 | 1 << 15  # VERSION_1, protocol features, MQ, MRG_RXBUF
MQ, RARP, REPLY_ACK, NET_MTU = 1 << 0, 1 << 2, 1 << 3, 1 << 4
BACKEND_REQ, CONFIG, RESET, STATUS = 1 << 5, 1 << 9, 1 << 13, 1 << 16
NEEDS_RESET = 64     # device status
NEED_REPLY = 8


class BackEnd:
    """Serves one front-end after another at a socket. It takes what is sent on ring 1.

    rings: how many it has; says: its answer to GET_QUEUE_NUM; protocol: its protocol features;
    ends: it disconnects when it is asked about another ring, or else refuses; features: more that
    it offers; config: its configuration space; delays: seconds before the answer to a request, by
    request.
    """

    def __init__(self, sock, rings=2, says=1, protocol=MQ, ends=True, features=0, config=b""):
        self.rings, self.says, self.protocol, self.ends = rings, says, protocol, ends
        self.features, self.config = FEATURES | features, config
        self.status, self.channel = 0, None
        self.delays = {}
        self.seen = []       # (request, payload)
        self.lives = self.taken = 0
        self.closing = False
        self.connection = None
        if os.path.exists(sock):
            os.unlink(sock)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(sock)
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self.thread.join(10)
        self.listener.close()

    def hang_up(self):
        connection = self.connection
        if connection:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is over

    def changes(self, config=None, status=0):
        """Has another configuration space or bits of the device status, and says so."""
        self.config = config or self.config
        self.status |= status
        self.channel.sendall(struct.pack("<III", CONFIG_CHANGE, 1, 0))

    def last(self, request):
        """The payload of the last such request, or None."""
        return next((payload for number, payload in reversed(self.seen) if number == request),
                    None)

    def strays(self):
        """Requests about rings that it does not have, but for call descriptors."""
        return [number for number, payload in self.seen
                if number in ABOUT_RINGS and number != SET_VRING_CALL
                and payload[0] >= self.rings]

    def _serve(self):
        while not self.closing:
            try:
                self.connection, _ = self.listener.accept()
            except OSError:
                return
            self.lives += 1
            self.acked, self.regions, self.ring = 0, [], {}
            try:
                self._session()
            except (OSError, EOFError):
                pass
            for _, _, memory in self.regions:
                memory.close()
            self.connection.close()
            self.connection = None
            if self.channel:
                self.channel.close()

    def _receive(self, size):
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _message(self):
        """The next request, or None: nothing came for a moment."""
        self.connection.settimeout(0.01)
        try:
            data, control, _, _ = self.connection.recvmsg(12, socket.CMSG_SPACE(32))
        except socket.timeout:
            return None
        finally:
            self.connection.settimeout(None)
        if not data:
            raise EOFError
        fds = array.array("i")
        for _, _, content in control:
            fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
        request, flags, size = struct.unpack("<III", data + self._receive(12 - len(data)))
        return request, flags, self._receive(size), list(fds)

    def _session(self):
        while True:
            message = self._message()
            if message is None:
                self._take()
                continue
            request, flags, payload, fds = message
            self.seen.append((request, payload))
            mine = request not in ABOUT_RINGS or payload[0] < self.rings
            if not mine and self.ends:
                for fd in fds:
                    os.close(fd)
                return
            time.sleep(self.delays.get(request, 0))
            answer = self._act(request, payload, fds) if mine else 1
            for fd in fds:
                os.close(fd)
            if request in ASKS or (flags & NEED_REPLY and self.acked & REPLY_ACK):
                body = answer if isinstance(answer, bytes) else struct.pack("<Q", answer)
                self.connection.sendall(struct.pack("<III", request, 5, len(body)) + body)

    def _act(self, request, payload, fds):
        if request == GET_FEATURES:
            return self.features
        if request == GET_PROTOCOL_FEATURES:
            return self.protocol
        if request == SET_PROTOCOL_FEATURES:
            self.acked = struct.unpack("<Q", payload)[0]
        elif request == GET_QUEUE_NUM:
            return self.says
        elif request == SET_MEM_TABLE:
            self._map(payload, fds)
        elif request == SET_VRING_NUM:
            self.ring[payload[0]] = {"size": struct.unpack("<I", payload[4:8])[0], "at": 0}
        elif request == SET_VRING_ADDR:
            desc, used, avail = struct.unpack("<QQQ", payload[8:32])
            self.ring[payload[0]].update(desc=desc, used=used, avail=avail)
        elif request == GET_VRING_BASE:
            ring = self.ring.pop(payload[0], {"at": 0})
            return payload[:4] + struct.pack("<I", ring["at"])
        elif request == GET_CONFIG:
            offset, size = struct.unpack("<II", payload[:8])
            return payload[:12] + self.config[offset:offset + size]
        elif request == SET_BACKEND_REQ_FD:
            self.channel = socket.socket(fileno=os.dup(fds[0]))
        elif request in (RESET_DEVICE, RESET_OWNER):
            self.status, self.ring = 0, {}
        elif request == SET_STATUS:
            self.status = payload[0]
        elif request == GET_STATUS:
            return self.status
        return 0

    def _map(self, payload, fds):
        for _, _, memory in self.regions:
            memory.close()
        self.regions = []
        for i, fd in enumerate(fds):
            _, size, address, offset = struct.unpack("<QQQQ", payload[8 + 32 * i:40 + 32 * i])
            self.regions.append((address, size, mmap.mmap(fd, size, offset=offset)))

    def _at(self, address):
        for first, size, memory in self.regions:
            if first <= address < first + size:
                return memory, address - first
        raise EOFError

    def _take(self):
        """Return what there is on ring 1 as sent."""
        ring = self.ring.get(1, {})
        if "avail" not in ring:
            return
        avail, at = self._at(ring["avail"])
        used, to = self._at(ring["used"])
        idx = struct.unpack_from("<H", avail, at + 2)[0]
        while ring["at"] != idx:
            slot = ring["at"] % ring["size"]
            head = struct.unpack_from("<H", avail, at + 4 + 2 * slot)[0]
            struct.pack_into("<II", used, to + 4 + 8 * slot, head, 0)
            ring["at"] = (ring["at"] + 1) & 0xffff
            self.taken += 1
        struct.pack_into("<H", used, to + 2, ring["at"])
