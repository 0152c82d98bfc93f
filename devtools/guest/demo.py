# SPDX-License-Identifier: BSD-3-Clause
"""The part of devtools/demo that needs what its first part installed and built.

usage: demo.py SECONDS_SO_FAR
"""

import re
import sys
import time

import bed

BEGAN = time.monotonic() - float(sys.argv[1])
SECONDS = 3
# of the counters: what went through, and all that was lost, wrong or cost something
SHOWN = re.compile(r"\w+_q\d+_(packets|bytes)|\w+_(dropped|refused|errors|calls|sw_csum_packets)")
MACS = ["52:54:00:00:00:01", "52:54:00:00:00:02"]


def step(text):
    print("[%4ds] %s" % (time.monotonic() - BEGAN, text), flush=True)


def show(text, only=lambda line: True):
    for line in text.splitlines():
        if line.strip() and only(line):
            print("        " + line.rstrip(), flush=True)


def main():
    ports = [bed.vdev(i, "iface=" + bed.path("vm%d" % i)) for i in (0, 1)]
    step("dpdk-testpmd with --vdev %s --vdev %s, forwarding between them" % tuple(ports))
    switch = bed.Testpmd("testpmd", ports, args=["--auto-start"])

    step("booting two virtual machines, their cards are these ports")
    machines = [bed.Guest("vm%d" % i, [bed.Nic(bed.path("vm%d" % i), MACS[i])], wait=False)
                for i in (0, 1)]
    for i, machine in enumerate(machines):
        machine.wait_ready()
        machine.must("ip addr add 10.0.0.%d/24 dev eth0 && ip link set eth0 up" % (i + 1))
    for port in (0, 1):
        switch.wait_link(port)
    one, two = machines

    step("vm0: ping -c 5 -i 0.2 10.0.0.2")
    show(one.must("ping -c 5 -i 0.2 10.0.0.2"))

    step("iperf3; the machines are emulated, without KVM, so its figures are the emulator's, "
         "not the port's")
    two.must("iperf3 -s -D > /dev/null")
    bed.wait_for("iperf3 server of vm1", lambda: two.run("grep -q :1451 /proc/net/tcp*")[0] == 0)
    for direction, option in (("vm0 to vm1", ""), ("vm1 to vm0", " -R")):
        command = "iperf3 -c 10.0.0.2 -t %d%s" % (SECONDS, option)
        step("vm0: %s (TCP, %s)" % (command, direction))
        show(one.must(command, SECONDS + 20), lambda line: "sec" in line)

    for port in (0, 1):
        step("testpmd: show port stats %d, show port xstats %d (packets, bytes, and of drops, "
             "errors, calls and checksums those that are not zero)" % (port, port))
        show(switch.cmd("show port stats %d" % port), lambda line: "packets" in line)
        xstats = switch.xstats(port)
        show("\n".join("%s: %d" % (name, value) for name, value in xstats.items()
                       if SHOWN.fullmatch(name) and
                       (value or re.search(r"q\d+_(packets|bytes)$", name))))

    step("shutting down")
    for machine in machines:
        machine.end()
    bed.check(switch.quit() == 0, "testpmd ended badly: " + switch.last_line())
    step("done: two virtual machines talked through two %s ports" % bed.DRV)


try:
    main()
except bed.Failure as failure:
    sys.exit("demo: %s" % failure)
