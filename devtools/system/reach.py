# SPDX-License-Identifier: BSD-3-Clause
"""A little of everything, for a release of DPDK that devtools/reach has made: each layout, role and
direction with the peers of that release, who listens, restarts, hot-plug, telemetry, and what
testpmd can ask of a port.
"""

import re
import signal

import bed
import front
import matrix
import surface
from bed import check, path


def serves(report):
    for mode in (matrix.Mode(0, 1), matrix.Mode(1, 1), matrix.Mode(0, 0, 1, queues=4),
                 matrix.Mode(1, 0, 1, queues=4), matrix.Mode(0, 0, 0, 1), matrix.Mode(1, 0, 1, 1),
                 matrix.Mode(0, 1, server=False), matrix.Mode(1, 1, server=False)):
        report.case("serves-" + mode.name(), matrix.one_mode, mode)
    report.case("serves-9000", matrix.large, matrix.Mode(1), 9000)
    report.case("serves-zero-copy", matrix.one_mode, matrix.Mode(), back_options=",zero-copy=1",
                counts=matrix.ZERO_COPY)


def drives(report):
    for back in ("net_vhost", "net_vring"):
        for packed in (0, 1):
            for mode in (front.Front(back, packed), front.Front(back, packed, 0, 1, queues=4),
                         front.Front(back, packed, server=False)):
                report.case("drives-" + mode.name(), matrix.one_mode, mode)
        report.case("reconnect-client-" + back[4:], front.reconnects, back, False)
        report.case("reconnect-server-" + back[4:], front.reconnects, back, True)


def peer_returns(packed):
    """DPDK's own front-end is killed under traffic and starts again."""
    sock = path("returns")
    port = bed.Testpmd("be", [bed.vdev(0, "iface=%s" % sock)], cpu=0, memory=96)
    try:
        port.cmd("set fwd io")
        port.cmd("start")
        for life in range(3):
            peer = bed.Testpmd(
                "fe", ["net_virtio_user0,path=%s,packed_vq=%d" % (sock, packed)], plugin=False,
                memory=64, cpu=1, eal=["--single-file-segments"])
            port.wait_link(0)
            before = port.stats(0)["ipackets"]
            peer.cmd("start tx_first")
            bed.wait_for("traffic of life %d" % life,
                         lambda: port.stats(0)["ipackets"] > before + 1000
                         and peer.stats(0)["ipackets"] > 1000, 10)
            peer.end(signal.SIGKILL)
            port.wait_link(0, up=False)
        status = port.telemetry("/net_vring/status,0")
        check(status["connects"] == status["disconnects"] == 3, "status: %s" % status)
    finally:
        port.quit()


def hot_plug():
    """Both roles come and go in a running application."""
    testpmd = bed.Testpmd("hotplug", ["net_null0"], memory=96)
    try:
        for number in range(4):
            surface.cycle(testpmd, bed.DRV + "5", number % 2 == 0)
        testpmd.cmd("port attach net_vring6,path=%s" % path("nobody"))
        check("Now total ports is 2" in testpmd.log(), "a front-end is not attached")
        testpmd.cmd("port detach 1")
        check("Number of available ports: 1" in testpmd.cmd("show port summary all"),
              "a front-end is not detached")
    finally:
        testpmd.quit()


def counters():
    """ethdev's telemetry, the driver's and testpmd agree on what was received."""
    sock = path("counters")
    testpmd = bed.Testpmd("be", [bed.vdev(0, "iface=%s" % sock)], cpu=0, memory=96)
    peer = None
    try:
        peer = bed.Testpmd("fe", ["net_virtio_user0,path=%s" % sock], plugin=False, memory=64,
                           cpu=1, eal=["--single-file-segments"])
        testpmd.wait_link(0)
        testpmd.cmd("set fwd rxonly")
        testpmd.cmd("start")
        peer.cmd("set fwd txonly")
        peer.cmd("start")
        bed.wait_for("packets", lambda: testpmd.stats(0)["ipackets"] > 1000, 10)
        peer.cmd("stop")
        sent = peer.stats(0)["opackets"]
        bed.wait_for("the last packet", lambda: testpmd.stats(0)["ipackets"] == sent, 5)
        told = testpmd.telemetry("/ethdev/stats,0")["ipackets"]
        more = testpmd.telemetry("/ethdev/xstats,0")
        check(told == more["rx_q0_packets"] == more["rx_good_packets"] == sent,
              "%d sent, telemetry has %d, %s" % (sent, told, more["rx_q0_packets"]))
        check(testpmd.telemetry("/net_vring/list") == [0], "the list of ports is wrong")
        status = testpmd.telemetry("/net_vring/status,0")
        check(status["role"] == "back-end" and status["connects"] == 1, "status: %s" % status)
    finally:
        for end in (peer, testpmd):
            if end is not None:
                end.quit()


def release():
    """What is tested is what devtools/reach says."""
    testpmd = bed.Testpmd("release", ["net_null0"], eal=["-v"], plugin=False)
    said = re.search(r"RTE Version: '(.*)'", testpmd.log())
    print("# testpmd is of %s" % (said.group(1) if said else "no known release"), flush=True)
    testpmd.quit()


def run(report):
    release()
    serves(report)
    drives(report)
    for packed in (0, 1):
        report.case("peer-returns-" + ("packed" if packed else "split"), peer_returns, packed)
    report.case("hot-plug", hot_plug)
    report.case("counters", counters)
    surface.alone_and_connected(report)
