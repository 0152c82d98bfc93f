# SPDX-License-Identifier: BSD-3-Clause
"""Packets as files of the pcap format, which DPDK's net_pcap reads and writes."""

import random
import struct

from bed import Failure, check

ETHERTYPE = 0x88b5  # for local experiments, IEEE 802
SNAPLEN = 16128     # of each frame net_pcap keeps so much when it writes
_HEADER = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAGICS = (0xa1b2c3d4, 0xa1b23c4d)  # microseconds, nanoseconds

# what small frames, one mbuf, a page and a jumbo frame have as their edges
EDGES = [60, 61, 62, 63, 64, 65, 66, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024,
         1025, 1499, 1500, 1501, 1513, 1514, 1515, 1518, 1522, 2035, 2036, 2037, 2047, 2048]
JUMBO = [2049, 2176, 3000, 4084, 4095, 4096, 4097, 6000, 8191, 8192, 8193, 8999, 9000]


def packets(count, queue=0, seed=1, sizes=None, largest=9000):
    """Frames of random bytes that carry queue and sequence number; every size of sizes first."""
    source = random.Random(seed * 1000 + queue)
    sizes = list(sizes or [size for size in EDGES + JUMBO if size <= largest])
    while len(sizes) < count:
        # mostly ordinary sizes, now and then a large one
        sizes.append(source.randint(60, min(largest, 1518 if len(sizes) % 8 else largest)))
    source.shuffle(sizes)
    head = bytes.fromhex("525400000022525400000011") + struct.pack(">H", ETHERTYPE)
    made = []
    for number, size in enumerate(sizes[:count]):
        body = head + struct.pack(">HI", queue, number)
        made.append(body + source.randbytes(size - len(body)))
    return made


def checksum(data):
    """RFC 1071: of an even number of bytes, or with a zero byte after them."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def segments(sizes, seed=1):
    """TCP segments over IPv4 with right checksums, random bytes in them; sizes are of frames."""
    source = random.Random(seed)
    made = []
    for number, size in enumerate(sizes):
        data = source.randbytes(size - 54)
        addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2])
        tcp = struct.pack(">HHIIBBHHH", 1000, 2000, number, 1, 5 << 4, 0x10, 8192, 0, 0)
        sum_tcp = checksum(addresses + struct.pack(">HH", 6, len(tcp + data)) + tcp + data)
        tcp = tcp[:16] + struct.pack(">H", sum_tcp) + tcp[18:]
        ip = struct.pack(">BBHHHBBH", 0x45, 0, size - 14, number, 0x4000, 64, 6, 0) + addresses
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        made.append(bytes.fromhex("5254000000225254000000110800") + ip + tcp + data)
    return made


def port(number, sources=(), sinks=()):
    """Devargs of a net_pcap that receives of each queue what is in a file, and writes what it
    sends of each to another."""
    return "net_pcap%d,%s" % (number, ",".join(
        ["rx_pcap=" + source for source in sources] + ["tx_pcap=" + sink for sink in sinks]))


def write(name, frames):
    with open(name, "wb") as out:
        out.write(_HEADER.pack(_MAGICS[0], 2, 4, 0, 0, 65535, 1))
        for number, frame in enumerate(frames):
            out.write(_RECORD.pack(number, 0, len(frame), len(frame)) + frame)


def stored(frame):
    """What net_pcap writes of a frame in many segments: its start; here with its length."""
    return frame[:SNAPLEN] + struct.pack(">I", len(frame))


def read(name):
    with open(name, "rb") as file:
        data = file.read()
    check(len(data) >= _HEADER.size, "%s: no pcap header" % name)
    check(_HEADER.unpack_from(data)[0] in _MAGICS, "%s: not a pcap file" % name)
    at, frames = _HEADER.size, []
    while at < len(data):
        check(at + _RECORD.size <= len(data), "%s: ends within a record" % name)
        _, _, kept, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        check(kept in (length, SNAPLEN), "%s: a frame of %d bytes came as %d" % (
            name, length, kept))
        check(at + kept <= len(data), "%s: ends within a frame" % name)
        frame = data[at:at + kept]
        frames.append(frame if kept == length else frame + struct.pack(">I", length))
        at += kept
    return frames


def label(frame):
    return "queue %d number %d (%d bytes)" % (struct.unpack_from(">HI", frame, 14)
                                             + (len(frame),))


def compare(what, offered, got):
    """Fail unless got is offered, byte by byte and in order."""
    for number, (wanted, found) in enumerate(zip(offered, got)):
        if found not in (wanted, stored(wanted)):
            raise Failure("%s: frame %d should be %s, is %s" % (
                what, number, label(wanted),
                label(found) if found in offered else "%d bytes never offered" % len(found)))
    check(len(offered) == len(got), "%s: %d of %d frames arrived" % (
        what, len(got), len(offered)))
