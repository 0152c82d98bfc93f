# SPDX-License-Identifier: BSD-3-Clause
"""What the board is made of: plans, their cases, and the drivers that they are run with."""

import collections

import re

import bed
import guests

# which of the two drivers the port under test takes the place of
BACK, FRONT = "back-end", "front-end"
PEERS = {BACK: "net_vhost", FRONT: "net_virtio_user"}


class Drivers:
    """The driver of either end of a case: `back` of the back-end, `front` of the front-end."""

    def __init__(self, place=None):
        """place: where net_vring is, BACK or FRONT; nowhere without one."""
        self.place = place
        self.back = "net_vring" if place == BACK else PEERS[BACK]
        self.front = "net_vring" if place == FRONT else PEERS[FRONT]

    @staticmethod
    def plugin(driver):
        """Whether testpmd has to load the plugin for a driver."""
        return driver == "net_vring"

    @staticmethod
    def packed(pmd, driver, port=0, sock=""):
        """Whether the rings of a testpmd's port are packed, as its driver says: one of DPDK's in
        the log, where it has to be let say so, of the port with this socket if there are more."""
        if driver == "net_vring":
            return "VIRTIO_F_RING_PACKED" in pmd.telemetry(
                "/net_vring/features,%d" % port)["negotiated"]
        said = bed.Process.log(pmd)
        if driver == PEERS[FRONT]:
            found = re.findall(r"using (packed ring )?[\w ]+ Rx path on port %d" % port, said)
            bed.check(found, "%s does not say what rings it uses" % driver)
            return bool(found[-1])
        found = re.findall(re.escape(sock) + r"\W+ negotiated Virtio features: 0x(\w+)", said)
        bed.check(found, "%s does not say what it has negotiated" % driver)
        return bool(int(found[-1], 16) >> guests.PACKED & 1)


class Case:
    """One case of a plan: what it asks, on which topology, by which steps.

    number: the plan's.
    asks: one line, in words of our own.
    topology: a class; it is made with the drivers and what else is `given`, each step is called
    with it, and at the end its close(failed) is called. To keep what is slow to set up for the
    next case a class has of(drivers, **given) return what there is, and finish() end it.
    places: BACK, FRONT or both: the case is run once for each, and passes only if all do.
    stands_in: what takes the place of what the plan has and a single machine has not.
    impossible: why the case cannot be run on this machine; no step is run then.
    """

    def __init__(self, number, asks, topology, steps, places=(BACK,), stands_in="",
                 impossible=None, **given):
        self.number, self.asks, self.topology, self.steps = number, asks, topology, tuple(steps)
        self.places, self.stands_in, self.impossible = tuple(places), stands_in, impossible
        self.given = given

    def run_with(self, drivers):
        """Raise what went wrong."""
        make = getattr(self.topology, "of", self.topology)
        place, failed = make(drivers, **self.given), True
        try:
            for step in self.steps:
                step(place)
            failed = False
        finally:
            place.close(failed)

    def run(self, peers=False):
        """Run it for each place; peers: with DPDK's drivers at both ends."""
        for drivers in [Drivers()] if peers else map(Drivers, self.places):
            try:
                self.run_with(drivers)
            except bed.Failure as failure:
                raise bed.Failure("%s and %s: %s" % (drivers.back, drivers.front, failure))


class Topology:
    """What a case is run on, at the least."""

    def close(self, failed):
        """The case is over."""


class Kept(Topology):
    """What is slow to set up, and is kept for the next case. Each class keeps one, which end()
    ends."""

    kept, wanted = None, None

    def __init_subclass__(cls, **given):
        super().__init_subclass__(**given)
        cls.kept = None

    @classmethod
    def keep(cls, wanted, make):
        """What there is, if it was made for what is wanted now and is alive, else what make()
        makes."""
        if cls.kept is None or cls.wanted != wanted or not cls.kept.alive():
            cls.finish()
            cls.kept, cls.wanted = make(), wanted
        return cls.kept

    @classmethod
    def finish(cls):
        kept, cls.kept = cls.kept, None
        if kept is not None:
            kept.end()

    def alive(self):
        return True

    def close(self, failed):
        """What failed may have left it in any state."""
        if failed:
            self.finish()


# name; cases: in order; daily: numbers of those that every run of all tests has
Plan = collections.namedtuple("Plan", "name cases daily")


def finish(cases):
    """End what topologies kept."""
    for topology in dict.fromkeys(case.topology for case in cases):
        if hasattr(topology, "finish"):
            topology.finish()
