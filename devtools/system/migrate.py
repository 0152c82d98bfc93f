# SPDX-License-Identifier: BSD-3-Clause
"""A guest that migrates from one port to another and back while it pings: it loses next to nothing,
and its memory arrives whole. testpmd answers on both ports."""

import re
import signal
import time

import bed
import guests
import iommu
from bed import check, path

MAC = "52:54:00:00:00:01"
ADDRESS = "10.0.0.2"    # whatever it is: testpmd's icmpecho answers for all
PINGS_A_SECOND = 50
# the guest is still for some hundredths of a second, emulated on a busy machine for more
MOST_LOST_S = 0.3


class Migration:
    """One guest, on port 0 first; the switch has a second port for the next one."""

    guest_options = {}  # of bed.Guest
    blob_mib = 24       # of random bytes, which are to arrive

    def __init__(self, qemu, device="", port="", queues=1, chardev="", driver=bed.DRV):
        self.qemu, self.device, self.port, self.queues = qemu, device, port, queues
        self.chardev, self.driver = chardev, driver
        self.postcopy = "postcopy-support=1" in port
        self.iommu = "iommu-support=1" in port
        self.count = 0
        self.guest = self.switch = None
        try:
            self.switch_on()
            self.guest = self.boot()
            self.guest.wait_ready()
            self.prepare()
            self.guest.must("dd if=/dev/urandom of=/tmp/blob bs=1M count=%d 2> /dev/null" %
                            self.blob_mib)
            self.sum = self.blob_sum()
        except BaseException:
            self.close()
            raise

    def prepare(self):
        """Have the guest use its card."""
        self.guest.must("ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up")
        if self.queues > 1:
            self.guest.must("ethtool -L eth0 combined %d" % self.queues)
        self.wait_carrier()

    def switch_on(self):
        self.switch = bed.Testpmd("switch", [
            bed.vdev(i, self.devargs(i), self.driver) for i in (0, 1)],
            args=["--auto-start", "--forward-mode=icmpecho", "--rxq=%d" % self.queues,
                  "--txq=%d" % self.queues], memory=128, mbufs=8192,
            plugin=self.driver == "net_vring")

    def switch_off(self):
        self.switch.quit()

    def wait_carrier(self):
        self.switch.wait_link(0)

    def sock(self, i):
        return path("m%d" % i)

    def devargs(self, i):
        return "iface=%s,queues=%d%s" % (self.sock(i), self.queues, self.port)

    def boot(self, extra=()):
        """A guest on the port that is free."""
        self.count += 1
        device = self.device
        netdev = ""
        if self.queues > 1:
            netdev = "queues=%d" % self.queues
            device += ",mq=on"
        options = dict(self.guest_options)
        if self.iommu:
            device += "," + iommu.CARD
            options["append"] = iommu.kernel("strict")
            extra = iommu.EXTRA + list(extra)
        return bed.Guest("m%d" % self.count,
                         [bed.Nic(self.sock((self.count - 1) % 2), MAC, self.chardev, netdev,
                                  device.strip(","))],
                         qemu=self.qemu, wait=False, extra=extra, **options)

    def blob_sum(self):
        return self.guest.must("md5sum < /tmp/blob", 60).split()[0]

    def begin_pings(self):
        self.guest.must("(ping -i %g -s 1400 %s > /tmp/pings 2>&1) & sleep 1"
                        % (1 / PINGS_A_SECOND, ADDRESS))

    def lost_pings(self):
        """Lost since they began, of how many."""
        self.guest.must("killall -INT ping; sleep 0.5")
        said = self.guest.must("cat /tmp/pings | tail -n 3")
        match = re.search(r"(\d+) packets transmitted, (\d+) packets received", said)
        check(match, "ping said: " + said)
        return int(match.group(1)) - int(match.group(2)), int(match.group(1))

    def move(self, half_way=None):
        """The guest goes to the other port; how long it was still, in seconds. half_way() is
        called while its memory is on its way."""
        incoming = "unix:" + path("incoming%d" % self.count)
        target = self.boot(["-incoming", incoming])
        bed.wait_for("the other QEMU", lambda: target.qmp("query-status"), 10)
        if self.postcopy:
            for guest in (self.guest, target):
                guest.qmp("migrate-set-capabilities",
                          capabilities=[{"capability": "postcopy-ram", "state": True}])
        self.guest.qmp("migrate-set-parameters", **{
            "max-bandwidth": (20 if self.postcopy or half_way else 200) << 20,
            "downtime-limit": 200})
        self.guest.qmp("migrate", uri=incoming)
        end = time.monotonic() + 60 * bed.PATIENCE
        while True:
            state = self.guest.qmp("query-migrate")
            if state.get("status") in ("completed", "failed"):
                break
            if self.postcopy and state.get("status") == "active" and state.get("ram"):
                # most of the memory has yet to come
                self.guest.qmp("migrate-start-postcopy")
            if half_way and state.get("status") == "active" and state.get("ram"):
                half_way()
                half_way = None
                self.guest.qmp("migrate-set-parameters", **{"max-bandwidth": 200 << 20})
            check(time.monotonic() < end, "migration takes too long: %s" % state)
            time.sleep(0.1)
        check(not self.postcopy or state["ram"].get("postcopy-requests", 0) > 0,
              "no page was asked for: %s" % state)
        check(state["status"] == "completed", "migration failed: %s" % state.get("error-desc"))
        check(not half_way, "it was over too soon")
        bed.wait_for("the guest to run",
                     lambda: target.qmp("query-status")["status"] == "running", 2)
        self.guest.end(signal.SIGKILL)
        self.guest = target
        return state["downtime"] / 1000

    def there_and_back(self, times):
        self.begin_pings()
        still = [self.move() for _ in range(times)]
        time.sleep(1)
        lost, sent = self.lost_pings()
        allowed = (sum(still) + times * MOST_LOST_S * bed.PATIENCE) * PINGS_A_SECOND
        print("# %d moves, still for %s ms, %d of %d pings lost" % (
            times, " ".join("%d" % (1000 * s) for s in still), lost, sent), flush=True)
        check(sent > times * PINGS_A_SECOND, "only %d pings" % sent)
        check(lost <= allowed, "%d of %d pings lost, allowed are %d" % (lost, sent, allowed))
        check(self.blob_sum() == self.sum, "a file in the guest's memory changed")
        lost = bed.ping(self.guest, ADDRESS, 20, 0.05)
        check(lost == 0, "%d of 20 pings lost afterwards" % lost)

    def said(self):
        """Nothing was refused."""
        with open(self.switch.log_path) as log:
            text = log.read()
        # names of counters end in _refused
        check(not re.search("(?<!_)refused|too short", text), "the switch complains")

    def close(self):
        if self.guest:
            self.guest.end(signal.SIGKILL)
        if self.switch:
            self.switch_off()


# name, QEMU, options of the card, arguments of the port, queues, moves
CASES = (
    ("qemu10-split", 10, "", "", 1, 2),
    ("qemu10-packed", 10, "packed=on", "", 2, 2),
    ("qemu10-zero-copy", 10, "mrg_rxbuf=off", ",zero-copy=1", 1, 2),
    ("qemu10-postcopy", 10, "packed=on", ",postcopy-support=1", 1, 2),
    ("qemu10-iommu", 10, "", ",iommu-support=1", 1, 2),
    ("qemu10-iommu-postcopy", 10, "packed=on", ",iommu-support=1,postcopy-support=1", 1, 2),
    ("qemu7-split", 7, "", "", 1, 2),
    ("qemu7-packed", 7, "packed=on", "", 1, 2),
)


def migrates(qemu, device, port, queues, times):
    bench = Migration(qemu, device, port, queues)
    try:
        if "packed" in device:
            check(guests.PACKED in bench.guest.features("eth0"), "the ring is not packed")
        if bench.iommu:
            iommu.behind_iommu(bench.guest)
        bench.there_and_back(times)
        bench.said()
    finally:
        bench.close()


def survives(device):
    """The switch is killed and started again while the guest's memory is on its way."""
    bench = Migration(10, device, chardev="reconnect-ms=100")

    def kill_switch():
        bench.switch.end(signal.SIGKILL)
        bench.switch_on()
        bench.switch.wait_link(0)
    try:
        for _ in range(2):
            bench.move(kill_switch)
            lost = bed.ping(bench.guest, ADDRESS, 20, 0.05, wait=3)
            check(lost == 0, "%d of 20 pings lost afterwards" % lost)
        check(bench.blob_sum() == bench.sum, "a file in the guest's memory changed")
        bench.said()
    finally:
        bench.close()


def run(report):
    for name, *arguments in CASES:
        report.case(name, migrates, *arguments)
    for layout, device in (("split", ""), ("packed", "packed=on")):
        report.case("qemu10-switch-killed-" + layout, survives, device)
