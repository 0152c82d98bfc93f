# SPDX-License-Identifier: BSD-3-Clause
"""DPDK in a guest: stock dpdk-testpmd, which an image has (devtools/guest/vdpa-image), and what is
brought there, l3fwd-power."""

import base64
import json
import shlex
import time

import bed
import interrupts
from bed import check

GUEST_IDLE_PERCENT = 60     # of a processor that is emulated, for all lcores


def take_card(guest, pages=50):
    """Hugepages, and the guest's one virtio card for DPDK in place of the kernel."""
    guest.must(
        "mkdir -p /dev/hugepages /var/run; echo %d > /proc/sys/vm/nr_hugepages; "
        "mount -t hugetlbfs none /dev/hugepages; "
        "cd $(dirname $(grep -l 0x1af4 /sys/bus/pci/devices/*/vendor)); "
        "echo uio_pci_generic > driver_override; basename $PWD > driver/unbind; "
        "basename $PWD > /sys/bus/pci/drivers_probe; "
        "readlink driver | grep -q uio_pci_generic" % pages)


class GuestProgram:
    """A program in a guest, whose output comes here bit by bit."""

    # drivers that are libraries of others as well, from the place where EAL looks for them
    LIBRARIES = "export LD_LIBRARY_PATH=$(echo /usr/lib/*/dpdk/pmds-*); "

    def __init__(self, guest, name, argv, memlock="unlimited", setup=""):
        self.guest, self.name = guest, name
        self.text, self.taken = "", 0
        self.pid = int(guest.must(
            "ulimit -l %s; rm -f /tmp/%s.in; mkfifo /tmp/%s.in; "
            "%s%s <> /tmp/%s.in > /tmp/%s.out 2>&1 & echo $!" % (
                memlock, name, name, setup, " ".join(map(shlex.quote, argv)), name, name)))

    def log(self, first="true"):
        said = self.guest.must("%s; tail -c +%d /tmp/%s.out | base64 -w 0; echo" % (
            first, self.taken + 1, self.name), 60)
        new = base64.b64decode(said.strip())
        self.taken += len(new)
        self.text += new.decode(errors="replace")
        return self.text

    def last_line(self):
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no output"

    def alive(self):
        return self.guest.run("kill -0 %d" % self.pid)[0] == 0

    def still(self):
        check(self.alive(), "%s ended: %s" % (self.name, self.last_line()))
        return True

    def keep_log(self):
        with open(bed.path("guest-%s.log" % self.name), "w") as file:
            file.write(self.log())


class GuestTestpmd(bed.Console, GuestProgram):
    """An interactive dpdk-testpmd in a guest."""

    count = 0
    log = GuestProgram.log

    def __init__(self, guest, eal, args=(), memory=64, mbufs=4096, huge=True,
                 memlock="unlimited", wait=True, lcores="0@0,1@1", prefix=(), telemetry=False):
        """telemetry: it answers; overlay.initrd() brought socat there as /bin/socat."""
        GuestTestpmd.count += 1
        name = "pmd%d" % GuestTestpmd.count
        self.mbufs = mbufs
        argv = list(prefix) + ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", lcores]
        argv += ["--file-prefix", name, "-m", str(memory)]
        argv += [] if telemetry else ["--no-telemetry"]
        argv += ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        argv += list(eal)
        argv += ["--", "-i", "--total-num-mbufs=%d" % mbufs, "--no-mlockall"] + list(args)
        GuestProgram.__init__(self, guest, name, argv, memlock)
        self.prompts = 1
        if wait:
            self.wait_prompt()

    def prompts_seen(self):
        return self.count_prompts(self.log())

    def send(self, line):
        self.guest.must("echo %s > /tmp/%s.in" % (shlex.quote(line), self.name))

    def cmd(self, line, seconds=15):
        """As with a testpmd of this machine, but in one exchange with the guest."""
        before = len(self.text)
        self.prompts += 1
        # Prompts in what is new; where a message stands within one the time passes, and then
        # wait_prompt() finds it. Each process is dear to an emulated processor.
        new = (self.prompts - self.count_prompts(self.text)) * ("*'%s'" % self.PROMPT)
        self.log("echo %s > /tmp/%s.in; n=%d; while [ $((n-=1)) -gt 0 ]; do "
                 "case $(tail -c +%d /tmp/%s.out) in %s*) break;; esac; usleep 20000; done" % (
                     shlex.quote(line), self.name, seconds * 50, self.taken + 1, self.name, new))
        self.wait_prompt(1)
        said = self.text[before:]
        said = said[said.find(line) + len(line):] if line in said else said
        return said.replace(self.PROMPT, "").strip()

    def telemetry(self, command):
        """As of a testpmd of this machine."""
        said = self.guest.must(
            "printf %%s %s | socat -b 65536 -t 5 - "
            "UNIX-CONNECT:/var/run/dpdk/%s/dpdk_telemetry.v2,type=5; echo" % (command, self.name))
        # behind what the socket says to whoever connects
        return json.loads(said[said.index('{"/'):])[command.split(",")[0]]

    def fds(self):
        return int(self.guest.must("ls /proc/%d/fd | wc -l" % self.pid))

    def pinned_kib(self):
        """Memory that the kernel keeps in place for the device."""
        return int(self.guest.must("awk '/VmPin/ {print $2}' /proc/%d/status" % self.pid))

    def quit(self):
        if self.alive():
            self.send("quit")
            try:
                bed.wait_for("", lambda: not self.alive(), 10, 0.1)
            except bed.Failure:
                self.guest.run("kill -9 %d" % self.pid)
        self.keep_log()


class GuestPower(interrupts.Power, GuestProgram):
    """l3fwd-power in a guest, to which overlay.initrd() brought PROGRAM as /bin/l3fwd-power. Its
    lcores share the first processor there."""

    def __init__(self, guest, eal, args="-P --interrupt-only", queues=(1,), memory=64):
        self.lcores = sum(queues)
        super().__init__(guest, "l3fwd-power", [
            "stdbuf", "-oL", "l3fwd-power", "--lcores", ",".join(
                "%d@0" % lcore for lcore in range(self.lcores)), "--no-telemetry", "--in-memory",
            "-m", str(memory)] + list(eal) + ["--"] + interrupts.power_arguments(queues, args),
            setup=self.LIBRARIES)

    def wait_loop(self):
        bed.wait_for("main loop of l3fwd-power",
                     lambda: self.still() and self.loops() == self.lcores, 30, 0.1)

    def percent(self, seconds):
        """What all of its lcores take of the processor."""
        def ticks():
            said = self.guest.must("cat /proc/%d/task/*/stat; cat /proc/uptime" % self.pid)
            *tasks, up = said.splitlines()
            return (sum(sum(map(int, task.rpartition(")")[2].split()[11:13])) for task in tasks),
                    float(up.split()[0]))
        before, began = ticks()
        time.sleep(seconds)
        after, ended = ticks()
        return (after - before) / (ended - began)

    def sleeps(self, when, seconds):
        percent = self.percent(seconds)
        check(percent < GUEST_IDLE_PERCENT, "%s l3fwd-power takes %.1f %% of a processor" % (
            when, percent))

    def close(self):
        """End it as one does who is at its terminal."""
        self.still()
        self.end("INT")

    def end(self, signal="KILL"):
        self.guest.run("kill -%s %d" % (signal, self.pid))
        bed.wait_for("the end of l3fwd-power", lambda: not self.alive(), 10, 0.1)
