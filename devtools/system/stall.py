# SPDX-License-Identifier: BSD-3-Clause
"""Peers that stand still under load, and queues that nobody polls: told of once, counted, and
shown for as long as it lasts."""

import re
import signal
import time

import bed
from bed import check, path

SECONDS = 3         # for which a peer stands still
SENDS = "stands still: the %s has taken nothing"
UNPOLLED = "receive queue 0 is not polled"


def status(testpmd, field):
    return testpmd.telemetry("/net_vring/status,0")[field]


def said(testpmd, what):
    return len(re.findall(r"net_vring0: .*" + what, testpmd.log()))


def stalls(testpmd):
    return testpmd.xstats(0)["tx_q0_stall_errors"]


def names(testpmd):
    return list(testpmd.xstats(0))


def stands_still(testpmd, peer, stop, go_on):
    """What the port makes of a peer that stops for a while and then goes on, under load."""
    before = names(testpmd)
    testpmd.cmd("set fwd txonly")
    testpmd.cmd("start")
    sent = testpmd.stats(0)["opackets"]
    # more than a ring: the peer takes them
    bed.wait_for("packets", lambda: testpmd.stats(0)["opackets"] > sent + 2000, 10)
    check(stalls(testpmd) == 0 and status(testpmd, "stalled_ms") == 0,
          "a peer that works stands still")
    for times in (1, 2):
        stop()
        time.sleep(SECONDS)
        lasts = status(testpmd, "stalled_ms")
        # a look every 500 ms, and a machine that is busy
        check(1000 <= lasts <= 1000 * (SECONDS + 2 * bed.PATIENCE),
              "stalled_ms is %d after %d s" % (lasts, SECONDS))
        check(stalls(testpmd) == times, "%d stalls are counted, not %d" % (
            stalls(testpmd), times))
        check(said(testpmd, SENDS % peer) == times, "told of %d times" % said(
            testpmd, SENDS % peer))
        go_on()
        bed.wait_for("the end of the stall", lambda: status(testpmd, "stalled_ms") == 0, 5)
        bed.wait_count("lines about it",
                       lambda: said(testpmd, "transmit queue 0 stands still no longer"), times, 5)
    testpmd.cmd("stop")
    check(stalls(testpmd) == 2, "%d stalls are counted after all" % stalls(testpmd))
    check(names(testpmd) == before, "names of counters have changed")
    testpmd.cmd("clear port xstats 0")
    check(stalls(testpmd) == 0, "the counter is not cleared")


def guest_stops(qemu, device, by_monitor):
    """A guest that its monitor stops, and one whose monitor is stopped itself."""
    sock, mac = path("sg"), "52:54:00:00:09:01"
    testpmd = bed.Testpmd("port", ["net_vring0,iface=" + sock])
    guest = None
    try:
        guest = bed.Guest("still", [bed.Nic(sock, mac, device=device)], qemu=qemu, wait=False)
        guest.wait_ready()
        guest.must("set -- $(grep -l %s /sys/class/net/*/address); d=${1%%/address}; "
                   "ip link set ${d##*/} up" % mac)
        testpmd.wait_link(0)
        if by_monitor:
            stands_still(testpmd, "guest", lambda: guest.qmp("stop"), lambda: guest.qmp("cont"))
        else:
            stands_still(testpmd, "guest", *pause(guest))
    finally:
        if guest:
            guest.end(signal.SIGKILL)
        testpmd.quit()


def driver(sock, options=""):
    """DPDK's own front-end, which takes what comes."""
    peer = bed.Testpmd("driver", ["net_virtio_user0,path=%s%s" % (sock, options)], plugin=False,
                       cpu=1, memory=64, eal=["--single-file-segments"])
    peer.cmd("set fwd rxonly")
    peer.cmd("start")
    return peer


def pause(process):
    return (lambda: process.child.send_signal(signal.SIGSTOP),
            lambda: process.child.send_signal(signal.SIGCONT))


def driver_stops(port, peer):
    """A driver whose process is stopped."""
    sock = path("sd")
    testpmd = bed.Testpmd("port", ["net_vring0,iface=%s%s" % (sock, port)])
    front = None
    try:
        front = driver(sock, peer)
        testpmd.wait_link(0)
        stands_still(testpmd, "guest", *pause(front))
        check(said(testpmd, UNPOLLED) == 0, "nothing waits, yet a queue is said not to be polled")
    finally:
        if front:
            front.quit()
        testpmd.quit()


def device_stops(back, options):
    """A back-end whose process is stopped."""
    sock = path("sb")
    device = bed.Testpmd("device", ["%s0,iface=%s" % (back, sock)], cpu=1)
    testpmd = None
    try:
        device.cmd("set fwd rxonly")
        device.cmd("start")
        testpmd = bed.Testpmd("port", ["net_vring0,path=%s%s" % (sock, options)], memory=64,
                              eal=["--single-file-segments"])
        testpmd.wait_link(0)
        stands_still(testpmd, "device", *pause(device))
    finally:
        if testpmd:
            testpmd.quit()
        device.quit()


def in_flight(testpmd, vring):
    return testpmd.telemetry("/net_vring/queues,0,0")["vring_%d" % vring]["in_flight"]


def device_keeps(options):
    """What a device has been sent and not returned is counted."""
    sock = path("sk")
    device = bed.Testpmd("device", ["net_vhost0,iface=%s" % sock], cpu=1)
    testpmd = None
    try:
        testpmd = bed.Testpmd("port", ["net_vring0,path=%s,queue_size=128%s" % (sock, options)],
                              memory=64, eal=["--single-file-segments"])
        testpmd.wait_link(0)
        check(in_flight(testpmd, 1) == 0, "%d are in flight at first" % in_flight(testpmd, 1))
        check(in_flight(testpmd, 0) == 128, "%d buffers to receive" % in_flight(testpmd, 0))
        testpmd.cmd("set fwd txonly")
        testpmd.cmd("start")    # and nobody receives
        # each packet has one entry
        bed.wait_for("a full ring", lambda: in_flight(testpmd, 1) == 128, 5)
        testpmd.cmd("stop")
    finally:
        if testpmd:
            testpmd.quit()
        device.quit()


def told_why(testpmd, why):
    """When the last connection ended and why, whatever has failed since."""
    bed.wait_for("the end of the connection", lambda: not status(testpmd, "connected"), 10)
    first = testpmd.telemetry("/net_vring/status,0")
    time.sleep(1)
    then = testpmd.telemetry("/net_vring/status,0")
    for now in (first, then):
        check(now["last_disconnect"] == why, "last_disconnect is %s" % now["last_disconnect"])
        check(now["connects"] == now["disconnects"] == 1, "counts: %s" % now)
    check(1000 <= then["last_disconnect_ms"] - first["last_disconnect_ms"] < 1000 + 1000 *
          bed.PATIENCE, "last_disconnect_ms: %d, then %d" % (
              first["last_disconnect_ms"], then["last_disconnect_ms"]))


def last_disconnect():
    """Of either end."""
    sock = path("sl")
    port = bed.Testpmd("port", ["net_vring0,iface=" + sock])
    front = None
    try:
        check(status(port, "last_disconnect_ms") == 0, "an end before the first connection")
        front = bed.Testpmd("front", ["net_vring0,path=" + sock], memory=64, cpu=1,
                            eal=["--single-file-segments"])
        front.wait_link(0)
        check(status(front, "last_disconnect_ms") == 0, "an end while connected")
        port.end(signal.SIGKILL)
        told_why(front, "the back-end closed the connection")
        port = bed.Testpmd("port2", ["net_vring0,iface=" + sock])
        front.wait_link(0)
        front.end(signal.SIGKILL)
        told_why(port, "peer closed the connection")
    finally:
        if front:
            front.quit()
        port.quit()


def unpolled(options):
    """Packets of a driver wait, and the application polls no queue yet."""
    sock = path("su")
    testpmd = bed.Testpmd("port", ["net_vring0,iface=" + sock])
    front = None
    try:
        front = bed.Testpmd("driver", ["net_virtio_user0,path=%s%s" % (sock, options)],
                            plugin=False, cpu=1, memory=64, eal=["--single-file-segments"])
        testpmd.wait_link(0)
        time.sleep(2)
        check(status(testpmd, "unpolled_ms") == 0, "nothing waits, yet unpolled_ms is %d"
              % status(testpmd, "unpolled_ms"))
        front.cmd("set fwd txonly")
        front.cmd("start")
        bed.wait_for("unpolled_ms", lambda: status(testpmd, "unpolled_ms") > 2000, 10)
        check(said(testpmd, UNPOLLED) == 1, "told of %d times" % said(testpmd, UNPOLLED))
        testpmd.cmd("set fwd rxonly")
        testpmd.cmd("start")
        bed.wait_for("0 in unpolled_ms", lambda: status(testpmd, "unpolled_ms") == 0, 5)
        bed.wait_count("lines about it",
                       lambda: said(testpmd, "receive queue 0 is polled again, after"), 1, 5)
        check(status(testpmd, "stalled_ms") == 0 and said(testpmd, "stands still") == 0,
              "a queue is said to stand still")
        testpmd.cmd("stop")
        front.cmd("stop")
    finally:
        if front:
            front.quit()
        testpmd.quit()


def not_watched():
    """With stall-ms=0 nothing is said."""
    sock = path("s0")
    testpmd = bed.Testpmd("port", ["net_vring0,iface=%s,stall-ms=0" % sock])
    front = None
    try:
        front = driver(sock)
        testpmd.wait_link(0)
        testpmd.cmd("set fwd txonly")
        testpmd.cmd("start")
        front.child.send_signal(signal.SIGSTOP)
        time.sleep(SECONDS)
        check(testpmd.xstats(0)["tx_q0_management_refused"] > 0, "the ring is not full")
        check(stalls(testpmd) == 0 and status(testpmd, "stalled_ms") == 0
              and said(testpmd, "stands still") == 0, "a stall is told of")
        front.child.send_signal(signal.SIGCONT)
        testpmd.cmd("stop")
    finally:
        if front:
            front.quit()
        testpmd.quit()


def four_pairs():
    """The counters of four queue pairs go into one answer of telemetry."""
    testpmd = bed.Testpmd("port", ["net_vring0,queues=4,iface=" + path("s4")],
                          args=["--rxq=4", "--txq=4"])
    try:
        shown = testpmd.telemetry("/ethdev/xstats,0")
        check(len(shown) <= 256 and set(shown) == set(names(testpmd)),
              "%d of %d counters are shown" % (len(shown), len(names(testpmd))))
    finally:
        testpmd.quit()


def run(report):
    report.case("four-pairs", four_pairs)
    for layout, options in (("split", ""), ("packed", ",packed_vq=1")):
        report.case("driver-" + layout, driver_stops, "", options)
        report.case("unpolled-" + layout, unpolled, options)
        for back in ("net_vhost", "net_vring"):
            report.case("device-%s-%s" % (back[4:], layout), device_stops, back, options)
        report.case("in-flight-" + layout, device_keeps, options)
    report.case("last-disconnect", last_disconnect)
    report.case("driver-retries", driver_stops, ",tx-retries=3", "")
    report.case("driver-iommu", driver_stops, ",iommu-support=1", "")
    report.case("not-watched", not_watched)
    for qemu, layout, device in (7, "split", ""), (10, "packed", "packed=on"):
        for by_monitor in (True, False):
            report.case("guest-%s-qemu%d-%s" % ("stop" if by_monitor else "hung", qemu, layout),
                        guest_stops, qemu, device, by_monitor)
