# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's l3fwd-power in a guest, woken by MSI-X interrupts of its card, and a testpmd behind."""

import asleep
import guest_testpmd
import interrupts
import iommu
import overlay
from case import Drivers
from machines import Booted, queues


class GuestAsleep(asleep.Sleeping, Booted):
    """In a guest. The kernel has vfio-pci give the card to
    DPDK. That wants an IOMMU; the cards lie before it, so addresses are the guest's physical ones,
    as without one."""

    guests = {"d": ("legacy-4", "legacy-16", "modern-4", "packed-16")}
    options = {"image": "guest-vdpa", "memory": 640, "extra": iommu.EXTRA[:2],
               "append": iommu.kernel("lazy")}

    @classmethod
    def of(cls, drivers, **given):
        if "initrd" not in cls.options:
            interrupts.build_program()
            cls.options["initrd"] = overlay.initrd("guest-vdpa", "power", [
                (interrupts.PROGRAM, "/bin/l3fwd-power")])
        return super().of(drivers, **given)

    @classmethod
    def prepare(cls, machines):
        guest = machines.guest["d"]
        guest.must("mkdir -p /dev/hugepages /var/run; mount -t tmpfs none /dev/shm; "
                   "echo 130 > /proc/sys/vm/nr_hugepages; mount -t hugetlbfs none /dev/hugepages")
        found = guest.must("grep -l 0x1af4 /sys/bus/pci/devices/*/vendor | cut -d/ -f6").split()
        machines.address = dict(zip(cls.guests["d"], found))
        for address in machines.address.values():
            guest.must("cd /sys/bus/pci/devices/%s; echo vfio-pci > driver_override; "
                       "echo %s > driver/unbind; echo %s > /sys/bus/pci/drivers_probe; "
                       "readlink driver | grep -q vfio-pci" % ((address,) * 3))

    def __init__(self, machines, drivers, card):
        self.queues = queues(card)
        self.meet(
            lambda: asleep.Source(machines.device(drivers.back, 0, "d", card), self.queues,
                                  Drivers.plugin(drivers.back), memory=192),
            lambda: guest_testpmd.GuestPower(
                machines.guest["d"], ["-a", machines.address[card], "--iova-mode=pa"],
                queues=(self.queues,), memory=176 if self.queues > 4 else 64),
            drivers.back, "packed" in card)
