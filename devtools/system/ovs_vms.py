# SPDX-License-Identifier: BSD-3-Clause
"""Two guests behind Open vSwitch, joined twice: by the ports under test, and by those that Open
vSwitch has of its own (dpdkvhostuserclient). TCP over both, in turns. And, with the former alone,
what happens to guests and switch in a long life."""

import re
import signal
import statistics

import bed
import guests
import ovs
from bed import check, iperf, path, ping

# of the native port's rate, in either direction
SHARE = 0.9
# A run's rate depends on where the processes are: the medians of several runs in turns are
# compared, and who is first changes. A best one would be a lucky one.
ROUNDS = range(3, 13)


class Pair:
    """Link 0 of guests a and b: ports p0 and p1, link 1: ports v0 and v1."""

    def __init__(self, tso, mtu, links=(0, 1), queues=1, other=""):
        """other: of the cards of guest b."""
        self.tso, self.mtu, self.links, self.queues = tso, mtu, links, queues
        self.other = other
        self.guests = []
        self.switch = ovs.Switch("vms%d-%d-%d" % (tso, mtu, queues), [
            "userspace-tso-enable=%s" % ("true" if tso else "false")])
        try:
            for link in links:
                self.switch.add_bridge("br%d" % link)
                for end in (0, 1):
                    self.add(link, end)
            self.guests = [self.boot(end) for end in (0, 1)]
            for end, guest in enumerate(self.guests):
                guest.wait_ready()
                self.set_up(end, guest)
        except BaseException:
            self.close()
            raise

    def name(self, link, end):
        return "pv"[link] + "01"[end]

    def add(self, link, end):
        name, sock = self.name(link, end), path("w" + self.name(link, end))
        options = ("type=dpdkvhostuserclient", "options:vhost-server-path=" + sock)
        if link == 0:
            options = ("type=dpdk", "options:dpdk-devargs=" + bed.vdev(
                end, "iface=%s,client=1,queues=%d%s" % (sock, self.queues,
                                                        ",tso=1" if self.tso else "")))
        self.switch.vsctl("add-port", "br%d" % link, name, "--", "set", "Interface", name,
                          "mtu_request=%d" % self.mtu, *options)

    def boot(self, end):
        device = ",".join(filter(None, ["mq=on" if self.queues > 1 else "",
                                        self.other if end == 1 else ""]))
        return bed.Guest("vm" + "ab"[end], [
            bed.Nic(path("w" + self.name(link, end)), self.mac(link, end), "server=on,wait=off",
                    "queues=%d" % self.queues, device)
            for link in self.links], qemu=10, memory=320, wait=False)

    def mac(self, link, end):
        return "52:54:00:01:%02x:%02x" % (end + 1, link)

    def address(self, link, end):
        return "10.1.%d.%d" % (link, end + 1)

    def set_up(self, end, guest):
        for link in self.links:
            name = guest.interface(self.mac(link, end))
            guest.must("ip link set %s mtu %d && ip addr add %s/24 dev %s && ip link set %s up" % (
                name, self.mtu, self.address(link, end), name, name))
            if self.queues > 1:
                guest.must("ethtool -L %s combined %d" % (name, self.queues))
        guests.serve(guest)

    def close(self):
        for guest in self.guests:
            guest.end(signal.SIGKILL)
        self.switch.end()


def carries(pair):
    a, b = pair.guests
    for link in pair.links:
        bed.wait_for("link %d" % link, lambda: ping(a, pair.address(link, 1), 1) == 0, 20, 0.2)
    lost = ping(a, pair.address(0, 1), 10, 0.1)
    check(lost == 0, "%d of 10 pings lost" % lost)
    bits = a.features(a.interface(pair.mac(0, 0)))
    check((guests.HOST_TSO4 in bits) == pair.tso, "HOST_TSO4 was %snegotiated" % (
        "not " if pair.tso else ""))
    guests.blob(b, a, pair.address(0, 1))
    guests.blob(a, b, pair.address(0, 0))
    # datagrams over the MTU, which the guest cuts
    a.must("ping -q -c 2 -i 0.2 -s 16000 %s" % pair.address(0, 1))


def as_fast(pair):
    a = pair.guests[0]
    for options in ("", "-R"):
        rates = ([], [])
        while len(rates[0]) < ROUNDS.stop:
            for link in ((0, 1), (1, 0))[len(rates[0]) % 2]:
                rates[link].append(iperf(a, pair.address(link, 1), 1.5, options))
            ours, native = (statistics.median(each) for each in rates)
            if len(rates[0]) >= ROUNDS.start and ours >= SHARE * native:
                break
        print("# tso=%d mtu=%d %s: %.0f Mbit/s, native %.0f, medians of %d" % (
            pair.tso, pair.mtu, options or "forth", ours, native, len(rates[0])), flush=True)
        check(ours >= SHARE * native, "%s: %s Mbit/s, the native port has %s" % (
            options or "forth", *(" ".join("%.0f" % rate for rate in each) for each in rates)))


def clean(pair):
    """Nothing of the port, nor because of what it does."""
    bad = pair.switch.complaints(
        r"\bp[01]\b|net_vring|(?i:invalid packets|too big|csum|checksum|offload|tso)")
    # what it says of each port of its own
    bad = [line for line in bad if not any(word in line for word in ("v0:", "v1:"))]
    check(not bad, "%d lines, first: %s" % (len(bad), bad[0] if bad else ""))


def run(report):
    for tso in (False, True):
        for mtu in (1500, 9000):
            name = "%s-%d" % ("tso" if tso else "plain", mtu)
            if not any(report.part in name + end for end in ("", "-rate", "-log")):
                continue
            pair = Pair(tso, mtu)
            try:
                report.case(name, carries, pair)
                if bed.DRV == "net_vring":
                    report.case(name + "-rate", as_fast, pair)
                report.case(name + "-log", clean, pair)
            finally:
                pair.close()


def guest_changes_queues(pair):
    """Guests change their number of queues; the switch polls one. TCP passes by each."""
    a = pair.guests[0]
    name = a.interface(pair.mac(0, 0))
    for count in (1, 4, 2):
        for end, guest in enumerate(pair.guests):
            guest.must("ethtool -L %s combined %d" % (guest.interface(pair.mac(0, end)), count))
        for queue in range(count):
            sent = r"tx_queue_?%d_packets: (\d+)" % queue
            a.must("cd /sys/class/net/%s/queues; for n in $(seq 0 %d); do "
                   "echo $((n == %d)) > tx-$n/xps_cpus; done" % (name, count - 1, queue))
            before = int(re.search(sent, a.must("ethtool -S " + name)).group(1))
            guests.flows(a, pair.address(0, 1))
            moved = int(re.search(sent, a.must("ethtool -S " + name)).group(1)) - before
            check(moved > 60, "queue %d of %d sent %d packets" % (queue, count, moved))
        lost = ping(a, pair.address(0, 1), 10, 0.1)
        check(lost == 0, "%d of 10 pings lost with %d queues" % (lost, count))


def changes_queues(pair):
    """The number of queues that the switch polls changes while packets flow."""
    a = pair.guests[0]
    for count in (2, 1, 2):
        a.must("ping -i 0.05 %s > /dev/null 2>&1 < /dev/null &" % pair.address(0, 1))
        for end in (0, 1):
            pair.switch.vsctl("set", "Interface", pair.name(0, end), "options:n_rxq=%d" % count)
        bed.wait_for("%d queues" % count, lambda: re.findall(
            r"\bp[01] .*configured_rx_queues=(\d+)", pair.switch.appctl("dpif/show")) ==
            [str(count)] * 2, 10, 0.1)
        a.must("killall ping; true")
        comes_back(pair)


def comes_back(pair):
    bed.wait_for("link 0", lambda: ping(pair.guests[0], pair.address(0, 1), 1) == 0, 10, 0.1)
    lost = ping(pair.guests[0], pair.address(0, 1), 10, 0.1)
    check(lost == 0, "%d of 10 pings lost" % lost)


def restarts_guest(pair):
    """A guest dies, and another one has its address."""
    for end in (1, 0):
        pair.guests[end].end(signal.SIGKILL)
        pair.guests[end] = pair.boot(end)
        pair.guests[end].wait_ready()
        pair.set_up(end, pair.guests[end])
        pair.guests[1 - end].must("ip neigh flush all")
        carries(pair)


def restarts_switch(pair):
    """The switch is killed; the next one takes over the guests as they are."""
    for _ in range(2):
        pair.switch.switch.end(signal.SIGKILL)
        pair.switch.run()
        comes_back(pair)
    carries(pair)


def sent_by(guest, mac):
    """Bytes and packets."""
    return list(map(int, guest.must("cd /sys/class/net/%s/statistics; cat tx_bytes tx_packets" %
                                    guest.interface(mac)).split()))


def checksums(pair):
    """Packets that guest a has left to the port, large and without checksums, come to guest b no
    larger than its MTU and with right ones."""
    a, b = pair.guests
    name = b.interface(pair.mac(0, 1))
    b.must("echo root:x:0:0::/: > /etc/passwd; ethtool -K %s gro off; "
           "timeout 30 tcpdump -Z root -n -v -p -c 500 -i %s 'tcp and dst host %s and greater 1000'"
           " > /tmp/seen 2>&1 < /dev/null & sleep 1" % (name, name, pair.address(0, 1)))
    before = sent_by(a, pair.mac(0, 0))
    guests.flows(a, pair.address(0, 1))
    sent = [now - had for now, had in zip(sent_by(a, pair.mac(0, 0)), before)]
    bed.wait_for("500 packets", lambda: b.run("grep '500 packets captured' /tmp/seen")[0] == 0, 20,
                 0.5)
    seen = b.must("cat /tmp/seen", 60)
    check(seen.count("(correct)") == 500 and "incorrect" not in seen,
          "%d of 500 checksums are right" % seen.count("(correct)"))
    largest = max(map(int, re.findall(r"length (\d+)\)", seen)))
    check(largest <= pair.mtu, "a packet of %d bytes came" % largest)
    check(sent[0] > pair.mtu * sent[1], "guest a has sent %d packets of %d bytes in all" % (
        sent[1], sent[0]))


def fallback(report):
    """Guest a may leave segmentation to the port, and guest b wants none left to it."""
    pair = Pair(True, 1500, (0,), other=guests.NO_RX_OFFLOAD)
    try:
        report.case("to-one-without-offloads", carries, pair)
        report.case("checksums", checksums, pair)
        report.case("log-of-that", clean, pair)
    finally:
        pair.close()


def life(report):
    fallback(report)
    pair = Pair(True, 1500, (0,), queues=4)
    try:
        report.case("carries", carries, pair)
        for function in (guest_changes_queues, changes_queues, restarts_guest, restarts_switch):
            report.case(function.__name__.replace("_", "-"), function, pair)
        report.case("log", clean, pair)
    finally:
        pair.close()
