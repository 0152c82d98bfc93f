# SPDX-License-Identifier: BSD-3-Clause
"""QEMU guests that are booted once for the cases of a plan. Their cards wait for a back-end, and
each case connects one to those that it is about."""

import os

import bed
from case import Drivers, Kept

# of the device, by the name of the card, which ends with its number of queues
CARDS = {
    "split-1": "", "packed-1": "packed=on",
    "split-16": "mq=on,vectors=40", "packed-16": "mq=on,vectors=40,packed=on",
    "split-no-index-1": "event_idx=off", "packed-no-index-1": "event_idx=off,packed=on",
    "legacy-4": "disable-modern=on,mq=on,vectors=15",
    "legacy-16": "disable-modern=on,mq=on,vectors=40",
    "modern-4": "disable-legacy=on,mq=on,vectors=15",
}


def queues(card):
    return int(card.rpartition("-")[2])


class Booted(Kept):
    """Guests with these cards. A class that inherits from this one has guests of its own."""

    guests = {}             # name -> names of its cards
    options = {}            # of bed.Guest

    @classmethod
    def of(cls, drivers, **given):
        """What is made of the guests for one case."""
        def make():
            machines = Machines(cls.guests, drivers.back, cls.options)
            try:
                cls.prepare(machines)
            except BaseException:
                machines.end()
                raise
            return machines
        return cls(cls.keep(None, make), drivers, **given)

    @classmethod
    def prepare(cls, machines):
        """What is to be done once."""


class Machines:
    """The guests."""

    def __init__(self, guests, driver, options):
        self.cards, self.guest, self.mac = guests, {}, {}
        first = None
        for number, name in enumerate(guests):
            for card in guests[name]:
                self.mac[name, card] = "52:54:00:00:%02x:%02x" % (number, len(self.mac))
                if os.path.exists(self.sock(name, card)):
                    os.unlink(self.sock(name, card))
        try:
            # QEMU begins when each of its cards has had a back-end
            first = bed.Testpmd("first", [self.device(driver, i, *which)
                                          for i, which in enumerate(self.mac)],
                                plugin=Drivers.plugin(driver), mbufs=16384)
            for name in guests:
                self.guest[name] = bed.Guest(name, [
                    bed.Nic(self.sock(name, card), self.mac[name, card], "server=on,wait=off",
                            "queues=%d" % queues(card), CARDS[card]) for card in guests[name]],
                    qemu=10, wait=False, **options)
            for guest in self.guest.values():
                guest.wait_ready()
        except BaseException:
            self.end()
            raise
        finally:
            if first:
                first.quit()

    @staticmethod
    def sock(name, card):
        return bed.path("%s-%s" % (name, card))

    def device(self, driver, number, name, card):
        """The --vdev of a back-end for a card."""
        return "%s%d,iface=%s,client=1,queues=%d" % (
            driver, number, self.sock(name, card), queues(card))

    def interface(self, name, card):
        return self.guest[name].interface(self.mac[name, card])

    def alive(self):
        return all(guest.alive() for guest in self.guest.values())

    def end(self):
        for guest in self.guest.values():
            guest.end()
