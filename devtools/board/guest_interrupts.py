# SPDX-License-Identifier: BSD-3-Clause
"""Kernels of guests, and who interrupts whom: the guest's packets an l3fwd-power that sleeps at the
back-end, and a back-end's packets the guest."""

import re
import signal
import time

import asleep
import bed
import guests
import interrupts
import matrix
from bed import check
from case import Drivers
from machines import CARDS, Booted, queues

PINGS = 6           # by each queue
PACKETS = 200       # on each queue, fewer than a ring has buffers
NEIGHBOUR = "52:54:00:00:99:99"     # nobody is there
EVENT_IDX, PACKED = guests.EVENT_IDX, guests.PACKED


class Wired(Booted):
    """A card of one guest or more, which is up and has an address, and a back-end for each."""

    options = {"cpus": 1}

    @classmethod
    def prepare(cls, machines):
        for guest in machines.guest.values():
            guest.must("for f in all default; do "
                       "echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done")

    def __init__(self, machines, drivers, ends):
        """ends: name of a guest, name of its card."""
        self.machines, self.drivers, self.ends = machines, drivers, list(ends)
        self.queues = queues(self.ends[0][1])
        self.devices = [machines.device(drivers.back, i, *end) for i, end in enumerate(self.ends)]
        self.plugin = Drivers.plugin(drivers.back)
        self.end, self.names = None, {}
        try:
            self.connect()
            for i in range(len(self.ends)):
                self.up(i)
        except BaseException:
            self.close(True)
            raise

    def connect(self):
        """Start the back-end, self.end."""
        raise NotImplementedError

    def guest(self, i):
        return self.machines.guest[self.ends[i][0]]

    def interface(self, i):
        if i not in self.names:
            self.names[i] = self.machines.interface(*self.ends[i])
        return self.names[i]

    def up(self, i):
        name, count = self.interface(i), queues(self.ends[i][1])
        self.guest(i).must(
            "%s/bin/ip addr add 1.%d.1.1/24 dev %s; /bin/ip link set %s up; "
            "/bin/ip neigh replace 1.%d.1.2 lladdr %s dev %s" % (
                "ethtool -L %s combined %d; " % (name, count) if count > 1 else "",
                i, name, name, i, NEIGHBOUR, name))
        bits = self.guest(i).features(name)
        for bit, has in ((EVENT_IDX, "event_idx=off" not in CARDS[self.ends[i][1]]),
                         (PACKED, "packed=on" in CARDS[self.ends[i][1]])):
            check((bit in bits) == has, "feature bit %d is %snegotiated" % (
                bit, "not " if has else ""))

    def close(self, failed):
        try:
            for i in range(len(self.ends)):
                self.guest(i).must("/bin/ip addr flush dev {0}; /bin/ip link set {0} down".format(
                    self.interface(i)))
        finally:
            if self.end:
                self.end.end()
            super().close(failed)


class Sleepers(asleep.Sleeping, Wired):
    """l3fwd-power with a port for each guest's card."""

    guests = {"a": ("split-1", "packed-1", "split-16", "packed-16"), "b": ("split-1", "packed-1")}

    def __init__(self, machines, drivers, card, names="a"):
        interrupts.build_program()
        super().__init__(machines, drivers, [(name, card) for name in names])

    def connect(self):
        self.end = self.sleeper = interrupts.Sleeper(
            *self.devices, plugin=self.plugin, queues=[self.queues] * len(self.ends),
            memory=192 if self.queues > 4 else 96, mode="--interrupt-only")

    def up(self, i):
        self.sleeper.wait_loop()
        super().up(i)
        time.sleep(0.2)     # what Linux says when an interface comes up

    def choose(self, i, queue):
        """Have the guest's processor send by one queue."""
        if self.queues > 1:
            self.guest(i).must("cd /sys/class/net/%s/queues; for n in $(seq 0 %d); do "
                               "echo $((n == %d)) > tx-$n/xps_cpus; done" % (
                                   self.interface(i), self.queues - 1, queue))


def pings(place):
    """A step: enough of what a guest sends by a queue ends sleeps of that queue's lcore, and none
    ends one of another lcore."""
    every = [(port, queue) for port in range(len(place.ends)) for queue in range(place.queues)]
    for port, queue in every:
        place.choose(port, queue)
        before = {which: place.sleeper.wakes(*which) for which in every}
        place.guest(port).run("ping -c %d -i 0.05 -W 1 1.%d.1.2" % (PINGS, port))
        for which in every:
            times = place.sleeper.wakes(*which) - before[which]
            check(asleep.enough(times, PINGS) if which == (port, queue) else times == 0,
                  "%d pings by queue %d of port %d: the lcore of queue %d of port %d is woken %d "
                  "times" % (PINGS, queue, port, which[1], which[0], times))


class Interrupted(Wired):
    """testpmd with a port for each card of one guest."""

    guests = {"a": ("split-1", "packed-1", "split-no-index-1", "packed-no-index-1",
                    "split-16", "packed-16")}

    def __init__(self, machines, drivers, cards):
        super().__init__(machines, drivers, [("a", card) for card in cards])

    def connect(self):
        self.end = bed.Testpmd(
            "back", self.devices, plugin=self.plugin, mbufs=32768, memory=192, eal=matrix.QUIET,
            args=["--rxq=%d" % self.queues, "--txq=%d" % self.queues, "--txd=1024", "--rxd=1024"])

    def up(self, i):
        super().up(i)
        self.end.wait_link(i, 20)

    def interrupts(self, i):
        """Of each of the card's receive queues, as the guest has counted them."""
        said = self.guest(i).must("grep $(basename $(readlink -f /sys/class/net/%s/device))-input "
                                  "/proc/interrupts" % self.interface(i))
        return [int(line.split()[1]) for line in said.splitlines()]

    def notified(self, i):
        """What the back-end has counted of those that it asked for."""
        return sum(value for name, value in self.end.xstats(i).items()
                   if re.match(r"tx_q\d+_(calls|guest_notifications)$", name))

    def received(self, i):
        """By each of the card's queues."""
        said = self.guest(i).must("ethtool -S " + self.interface(i))
        return [int(count) for count in re.findall(r"rx_queue_?\d+_packets: (\d+)", said)]

    def send(self, i):
        """Single packets on each queue, more than the guest takes meanwhile, for its machine stands
        still; what each queue has of them is exact. The interrupts of each queue, and of how many
        the back-end has told."""
        for command in ("set portlist %d" % i, "set fwd rxonly", "set burst 1"):
            self.end.cmd(command)
        before = self.received(i), self.interrupts(i), self.notified(i)
        machine = self.guest(i).child
        machine.send_signal(signal.SIGSTOP)
        try:
            self.end.cmd("start tx_first %d" % PACKETS, 60)
            self.end.cmd("stop")
        finally:
            machine.send_signal(signal.SIGCONT)
        want = [count + PACKETS for count in before[0]]
        bed.wait_for("%d packets by each of %d queues" % (PACKETS, self.queues),
                     lambda: all(now >= then for now, then in zip(self.received(i), want)),
                     10, 0.1)
        check(self.received(i) == want, "received %s, not %s" % (self.received(i), want))
        taken = [now - had for now, had in zip(self.interrupts(i), before[1])]
        return taken, self.notified(i) - before[2]

    def indexed(self, i):
        """The guest asks by an event index, and so for far fewer than there are packets."""
        taken, notified = self.send(i)
        check(min(taken) >= 1, "interrupts of the queues: %s" % taken)
        check(notified <= PACKETS * self.queues // 2, "%d notifications for %d packets" % (
            notified, PACKETS * self.queues))
        check(sum(taken) <= notified, "%d interrupts, but %d notifications" % (
            sum(taken), notified))
        return notified


def fewer(place):
    """A step: with an event index there are fewer interrupts than without."""
    with_index = place.indexed(0)
    taken, without = place.send(1)
    check(min(taken) >= 1, "interrupts of the queues: %s" % taken)
    check(without > 1.5 * with_index, "%d notifications with an event index, %d without" % (
        with_index, without))


def reload(times):
    """A step: the driver leaves the card and takes it again, and packets arrive each time."""
    def step(place):
        place.indexed(0)
        for _ in range(times):
            name = place.interface(0)
            place.guest(0).must(
                "set -e; ip link set %s down; cd /sys/bus/pci/drivers/virtio-pci; "
                "card=$(basename $(readlink -f /sys/class/net/%s/device/..)); "
                "echo $card > unbind; ! [ -e $card ]; echo $card > bind" % (name, name))
            place.names.clear()
            place.up(0)
            place.indexed(0)
    return step


def every_queue(place):
    """A step: each queue of the guest has interrupts and packets, also after traffic was stopped
    and started."""
    for _ in range(2):
        place.indexed(0)
        for command in ("port stop 0", "port start 0"):
            place.end.cmd(command)
        place.end.wait_link(0, 20)
    place.indexed(0)
