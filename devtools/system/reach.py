# SPDX-License-Identifier: BSD-3-Clause
"""A little of everything, for a release of DPDK that devtools/reach has made: each layout, role and
direction with the peers of that release, who listens, restarts, hot-plug, telemetry, and what
testpmd can ask of a port.
"""

import os
import re
import signal

import bed
import front
import matrix
import secondary
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
        for packed in (0, 1):
            end = back[4:] + ("-packed" if packed else "")
            report.case("reconnect-client-" + end, front.reconnects, back, False, packed=packed)
            report.case("reconnect-server-" + end, front.reconnects, back, True, packed=packed)


def ours(name, options):
    return bed.Testpmd(name, ["net_null0"] if options is None else [bed.vdev(0, options)], cpu=0,
                       memory=96, eal=matrix.QUIET)


def theirs(driver, options, cpu=1, wait=True):
    """DPDK's own port, in the application of that release."""
    return bed.Testpmd("theirs", ["%s0,%s" % (driver, options)], plugin=False, memory=96, cpu=cpu,
                       wait=wait, eal=["--single-file-segments"] + matrix.QUIET)


def virtio_user(sock, packed, options="", wait=True):
    return theirs("net_virtio_user", "path=%s,packed_vq=%d%s" % (sock, packed, options), wait=wait)


def flow(source, sink):
    """What one port, (testpmd, number), sends arrives at the other."""
    for (end, port), forward in ((sink, "rxonly"), (source, "txonly")):
        end.cmd("set portlist %d" % port)
        end.cmd("set fwd " + forward)
        end.cmd("clear port stats all")
        end.cmd("start")
    sender, out = source
    bed.wait_for("packets", lambda: sender.stats(out)["opackets"] > 1000, 10)
    sender.cmd("stop")
    sent = sender.stats(out)["opackets"]
    bed.wait_count("all packets", lambda: sink[0].stats(sink[1])["ipackets"], sent, 5)
    sink[0].cmd("stop")


def both_ways(one, other):
    for end, port in (one, other):
        end.wait_link(port)
    flow(one, other)
    flow(other, one)


def dies(mine, packed, client):
    """The port (mine), or DPDK's own front-end, is killed under traffic and starts again. Who
    listens is the one or the other; `client`: the port connects."""
    sock = path("dies")
    port = peer = None
    try:
        for life in range(3):
            # a front-end that listens waits in its probe for who connects
            if client and peer is None:
                if os.path.exists(sock):
                    os.unlink(sock)  # one that was killed leaves it, and the next says no
                peer = virtio_user(sock, packed, ",server=1", wait=False)
            port = port or ours("be", "iface=%s%s" % (sock, ",client=1" if client else ""))
            peer = peer or virtio_user(sock, packed)
            peer.wait_prompt()
            both_ways((port, 0), (peer, 0))
            status = port.telemetry("/net_vring/status,0")
            lives = 1 if mine else life + 1
            check(status["connects"] == lives and status["disconnects"] == lives - 1,
                  "life %d: %s" % (life, status))
            peer.cmd("start tx_first")
            (port if mine else peer).end(signal.SIGKILL)
            (peer if mine else port).wait_link(0, up=False)
            if mine:
                peer.cmd("stop")
                port = None
            else:
                peer = None
    finally:
        for end in (peer, port):
            if end is not None:
                end.quit()


def attached(testpmd, options):
    """A port that has come while the application runs, number 1."""
    said = testpmd.cmd("port attach net_vring7," + options)
    check("Now total ports is 2" in said, "not attached: %s" % said)
    testpmd.cmd("port start 1")


def detached(testpmd, peer):
    """It goes while the peer is there, which sees that."""
    testpmd.cmd("port stop 1")
    said = testpmd.cmd("port detach 1")
    check("Number of available ports: 1" in testpmd.cmd("show port summary all"),
          "not detached: %s" % said)
    peer.wait_link(0, up=False)


def comes_and_goes(packed):
    """A back-end is attached, serves DPDK's own front-end, and is detached under it."""
    sock = path("comes")
    testpmd = ours("be", None)
    try:
        for _ in range(2):
            attached(testpmd, "iface=%s" % sock)
            peer = virtio_user(sock, packed)
            try:
                both_ways((testpmd, 1), (peer, 0))
                detached(testpmd, peer)
            finally:
                peer.quit()
    finally:
        testpmd.quit()


def front_comes_and_goes(driver, packed):
    """The same of a front-end: the back-end stays, and serves the next one."""
    sock = path("comes")
    back = bed.Testpmd("be", ["%s0,iface=%s" % (driver, sock)], cpu=0, memory=96,
                       eal=matrix.QUIET)
    testpmd = None
    try:
        testpmd = bed.Testpmd("fe", ["net_null0"], cpu=1, memory=96,
                              eal=["--single-file-segments"])
        for _ in range(2):
            attached(testpmd, "path=%s,packed_vq=%d" % (sock, packed))
            both_ways((testpmd, 1), (back, 0))
            detached(testpmd, back)
    finally:
        for end in (testpmd, back):
            if end is not None:
                end.quit()


def told(testpmd, role, layout, sent, received):
    """All that telemetry answers of port 0, after it has sent and received so many packets."""
    status = testpmd.telemetry("/net_vring/status,0")
    check(testpmd.telemetry("/net_vring/list") == [0], "the list of ports is wrong")
    check(status["role"] == role and status["link"] == status["connects"] == 1,
          "status: %s" % status)
    features = testpmd.telemetry("/net_vring/features,0")
    more = set(features["negotiated"]) - set(features["offered"])
    check(more <= {"VHOST_USER_F_PROTOCOL_FEATURES"}  # which is not the guest's
          and "VIRTIO_F_VERSION_1" in features["negotiated"]
          and ("VIRTIO_F_RING_PACKED" in features["negotiated"]) == (layout == "packed"),
          "features: %s" % features)
    check(testpmd.telemetry("/net_vring/memory,0")["region_0"]["bytes"] > 0, "no memory")
    states = testpmd.telemetry("/net_vring/queues,0")
    queue = testpmd.telemetry("/net_vring/queues,0,0")
    for name in ("vring_0", "vring_1"):
        check(queue[name]["layout"] == layout, "%s: %s" % (name, queue[name]))
        check(queue[name]["state"] == states[name]["state"] == "enabled",
              "%s: %s" % (name, states))
    hist = testpmd.telemetry("/net_vring/hist,0,0")
    for side, count in (("rx", received), ("tx", sent)):
        sizes = sum(hist[side + "_packets"].values())
        check(sizes == queue[side]["packets"] == count,
              "%s: %d packets, %d by size, %s" % (side, count, sizes, queue[side]))


def telemetry(role, packed):
    """Each command of telemetry, of either role, beside a peer of the release."""
    sock = path("told")
    layout = "packed" if packed else "split"
    mine = other = None
    try:
        if role == "back-end":
            mine = ours("be", "iface=%s" % sock)
            other = virtio_user(sock, packed)
        else:
            other = theirs("net_vhost", "iface=%s" % sock, cpu=0)
            mine = bed.Testpmd("fe", [bed.vdev(0, "path=%s,packed_vq=%d" % (sock, packed))],
                               cpu=1, memory=96, eal=["--single-file-segments"])
        for end in (mine, other):
            end.wait_link(0)
        flow((other, 0), (mine, 0))
        received = mine.stats(0)["ipackets"]
        mine.cmd("set fwd txonly")
        mine.cmd("start")
        bed.wait_for("packets", lambda: mine.stats(0)["opackets"] > 100, 10)
        mine.cmd("stop")
        told(mine, role, layout, mine.stats(0)["opackets"], received)
    finally:
        for end in (mine, other) if role == "front-end" else (other, mine):
            if end is not None:
                end.quit()


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
        bed.wait_for("the last packet", lambda: testpmd.stats(0)["ipackets"] >= sent, 5)
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
        layout = "packed" if packed else "split"
        for client in (False, True):
            way = layout + ("-client" if client else "-server")
            report.case("peer-returns-" + way, dies, False, packed, client)
        report.case("port-returns-" + layout, dies, True, packed, True)
        report.case("back-comes-and-goes-" + layout, comes_and_goes, packed)
        for back in ("net_vhost", "net_vring"):
            report.case("front-comes-and-goes-%s-%s" % (back[4:], layout), front_comes_and_goes,
                        back, packed)
        for role in ("back-end", "front-end"):
            report.case("telemetry-%s-%s" % (role, layout), telemetry, role, packed)
    report.case("hot-plug", hot_plug)
    report.case("counters", counters)
    surface.alone_and_connected(report)
    shared = secondary.Port()
    try:
        report.case("secondary", secondary.counts, shared)
    finally:
        shared.close()
