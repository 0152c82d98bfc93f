# SPDX-License-Identifier: BSD-3-Clause
"""Processes that the demo and the system tests start: stock testpmd and small guests.

Everything started here ends with this process: see stop_all().
"""

import atexit
import contextlib
import ctypes
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, ".cache")

# the driver under test; a stand-in of DPDK's own needs no plugin, nor does one that is installed,
# where PLUGIN is empty: nothing of BUILD is used then
DRV = os.environ.get("DRV", "net_vring")
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PLUGIN = os.environ.get(
    "PLUGIN", os.path.join(BUILD, "drivers/net/vring/librte_net_vring.so"))

# sends from memory that came while its port was running
GROW_POOL = os.path.join(BUILD, "app/test/grow-pool")
QUEUE_COUNTS = os.path.join(BUILD, "app/test/queue-counts")
# has threads that poll in vain sleep a little
IDLE_POLL = os.path.join(BUILD, "app/test/idle-poll.so")

# short, since the path of a unix socket has at most 107 bytes, and below no world-writable
# directory, since EAL insists on that for whatever it loads
RUN = tempfile.mkdtemp(prefix="vring-", dir="/run")
CPUS = sorted(os.sched_getaffinity(0))
# How many times longer to wait where other work runs beside.
PATIENCE = float(os.environ.get("PATIENCE", 1))

_started = []


class Failure(Exception):
    """What a case found wrong, in one line."""


def check(condition, reason):
    if not condition:
        raise Failure(reason)


def wait_for(what, condition, seconds=10.0, every=0.02):
    """Wait until condition() is true and return its value."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("%s: not within %g s" % (what, seconds))
        time.sleep(every)


def wait_count(what, count, wanted, seconds=10.0, every=0.02):
    """Wait until count() is wanted; more than that is as wrong as less."""
    wait_for(what, lambda: count() >= wanted, seconds, every)
    check(count() == wanted, "%s: %s, not %s" % (what, count(), wanted))


def path(name):
    return os.path.join(RUN, name)


def die_with_parent(sig=signal.SIGKILL):
    ctypes.CDLL(None).prctl(1, sig)  # PR_SET_PDEATHSIG


class Process:
    """A child whose output goes to RUN/NAME.log."""

    def __init__(self, name, argv, stdin=subprocess.DEVNULL, **options):
        self.name = name
        self.log_path = path(name + ".log")
        with open(self.log_path, "wb") as log:
            self.child = subprocess.Popen(argv, stdin=stdin, stdout=log,
                                          stderr=subprocess.STDOUT, start_new_session=True,
                                          preexec_fn=die_with_parent,
                                          **options)
        self.pid = self.child.pid
        _started.append(self)

    def log(self, start=0):
        """What it has said, from a byte of its log on."""
        with open(self.log_path, errors="replace") as log:
            log.seek(start)
            return log.read()

    def last_line(self):
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no output"

    def alive(self):
        return self.child.poll() is None

    def end(self, sig=signal.SIGTERM, seconds=5):
        """Send the signal, then SIGKILL if that did not do; return the exit status."""
        if self.alive():
            self.child.send_signal(sig)
            try:
                self.child.wait(seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                self.child.kill()
        status = self.child.wait()
        if self.child.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.child.stdin.close()
        if self in _started:
            _started.remove(self)
        return status

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def thread(self, word):
        """The directory in /proc of the first thread that has the word in its name."""
        tasks = "/proc/%d/task" % self.pid
        for task in sorted(os.listdir(tasks), key=int):
            with open(os.path.join(tasks, task, "comm"), encoding="ascii") as comm:
                if word in comm.read():
                    return os.path.join(tasks, task)
        raise Failure("%s has no thread '%s'" % (self.name, word))

    def resident_kib(self):
        with open("/proc/%d/status" % self.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def stop_all():
    for process in list(_started):
        process.end()


def _at_exit():
    stop_all()
    shutil.rmtree(RUN, ignore_errors=True)


atexit.register(_at_exit)
for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_signal, lambda number, frame: sys.exit(128 + number))


def vdev(number, options, driver=DRV):
    return "%s%d,%s" % (driver, number, options)


def plugin_options():
    return ["-d", PLUGIN] if DRV == "net_vring" and PLUGIN else []


def program(name):
    """vring-perf or vring-probe, as it was built or as it is installed."""
    return os.path.join(BUILD, "app", name, name) if PLUGIN else name


def idle_options(module=IDLE_POLL, always=False):
    """Where other work runs beside, polling is what takes most of it away and needs least."""
    return ["-d", module, "--vdev", "idle_poll0"] if always or PATIENCE > 1 and PLUGIN else []


def lcores(cpu):
    """Main lcore 0 anywhere, worker lcore 1 on one CPU."""
    return "0@(%s),1@%d" % (",".join(map(str, CPUS)), CPUS[cpu % len(CPUS)])


class Console:
    """What one says to an interactive dpdk-testpmd, which its process sends and logs."""

    PROMPT = "testpmd> "
    # what other threads print, a line or the newline before it at a time; a prompt is written
    # byte by byte, so that any of it may stand in its middle
    EVENT = "Port [0-9]+: [a-z ]+ event"
    MESSAGE = EVENT + "|(net_vring[0-9]+: |VHOST_[A-Z]+: |EAL: |virtio_user).*"

    # bytes of the log that need not be looked at again, and the prompts in them
    read_to, prompts_read = 0, 0

    def log(self, start=0):
        return re.sub(self.EVENT + "\n", "", super().log(start))

    def without_messages(self, text):
        return re.sub("(%s)\n" % self.MESSAGE, "", text)

    def count_prompts(self, text):
        return self.without_messages(text).replace("\n", "").count(self.PROMPT)

    def prompts_seen(self):
        return self.prompts_read + self.count_prompts(self.log(self.read_to))

    def skip_read(self):
        """Leave behind what was said up to here, unless more prompts are to come. Its bytes."""
        with open(self.log_path, "rb") as log:
            log.seek(self.read_to)
            said = log.read()
        end = self.read_to + len(said)
        seen = self.prompts_read + self.count_prompts(said.decode(errors="replace"))
        if seen == self.prompts:
            self.read_to, self.prompts_read = end, seen
        return end

    def wait_prompt(self, seconds=30):
        def done():
            if not self.alive():
                # with no prompt there is none to wait for
                raise Failure("%s ended: %s" % (self.name, self.last_line()))
            return self.prompts_seen() >= self.prompts
        wait_for("prompt of testpmd %s" % self.name, done, seconds, 0.005)

    def cmd(self, line, seconds=15):
        """Run one command and return what it printed."""
        before = self.skip_read()
        self.prompts += 1
        self.send(line)
        self.wait_prompt(seconds)
        return self.log(before).replace(line, "", 1).replace(self.PROMPT, "").strip()

    def link_up(self, port):
        return "Link status: up" in self.cmd("show port info %d" % port)

    def wait_link(self, port, seconds=10, up=True):
        wait_for("link %s of port %d of %s" % ("up" if up else "down", port, self.name),
                 lambda: self.link_up(port) == up, seconds, 0.05)

    def stats(self, port):
        """Basic statistics, as ipackets, opackets, imissed, ierrors, oerrors, rx_nombuf."""
        text = self.cmd("show port stats %d" % port)
        names = {"RX-packets": "ipackets", "RX-missed": "imissed", "RX-errors": "ierrors",
                 "RX-nombuf": "rx_nombuf", "TX-packets": "opackets", "TX-errors": "oerrors",
                 "RX-bytes": "ibytes", "TX-bytes": "obytes"}
        found = {}
        for name, key in names.items():
            match = re.search(name + r":\s+(\d+)", text)
            check(match, "%s: no %s in show port stats" % (self.name, name))
            found[key] = int(match.group(1))
        return found

    def xstats(self, port):
        text = self.cmd("show port xstats %d" % port)
        return {k: int(v) for k, v in re.findall(r"^(\w+): (\d+)\s*$", text, re.M)}

    def dump_mempool(self, pool="mb_pool_0"):
        text = self.cmd("dump_mempool " + pool)
        # since 26.03 it is two words
        return self.cmd("dump mempool " + pool) if "Command not found" in text else text

    def mbufs_available(self, pool="mb_pool_0"):
        text = self.dump_mempool(pool)
        total = sum(int(n) for n in re.findall(
            r"(?:common_pool_count|total_cache_count|cache_count\[\d+\])=(\d+)", text))
        twice = sum(int(n) for n in re.findall(r"total_cache_count=(\d+)", text))
        return total - twice


class Testpmd(Console, Process):
    """An interactive dpdk-testpmd. Counts prompts to know when a command is done. Its memory is
    hugepages of its own, or none, or those of a hugetlbfs, which it shares."""

    count = 0

    def __init__(self, name, vdevs, args=(), eal=(), memory=128, plugin=True, cpu=0, wait=True,
                 prefix=(), mbufs=4096, huge=True, **options):
        Testpmd.count += 1
        self.prefix = "%s-%d" % (os.path.basename(RUN), Testpmd.count)
        argv = list(prefix) + ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", lcores(cpu),
                               "--no-pci", "-m", str(memory),
                               "--file-prefix", self.prefix]
        if isinstance(huge, str):
            argv += ["--huge-dir", huge]
        else:
            argv += ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        argv += plugin_options() if plugin else []
        argv += idle_options()
        argv += eal
        for device in vdevs:
            argv += ["--vdev", device]
        argv += ["--", "-i", "--total-num-mbufs=%d" % mbufs, "--no-mlockall"] + list(args)
        super().__init__(name, argv, stdin=subprocess.PIPE, **options)
        self.prompts = 1
        if wait:
            self.wait_prompt()

    def send(self, line):
        try:
            self.child.stdin.write((line + "\n").encode())
            self.child.stdin.flush()
        except (BrokenPipeError, ValueError):  # by its own end, or by end()
            raise Failure("%s ended: %s" % (self.name, self.last_line()))

    def quit(self):
        try:
            self.send("quit")
            self.child.wait(10)
        except (Failure, subprocess.TimeoutExpired):
            pass
        return self.end()

    def end(self, *args, **options):
        """End it, and remove the directory that EAL leaves in /run/dpdk."""
        status = super().end(*args, **options)
        for base in ("/run/dpdk", "/tmp/dpdk"):
            shutil.rmtree(os.path.join(base, self.prefix), ignore_errors=True)
        return status

    def telemetry(self, command):
        """What DPDK's telemetry socket answers to a command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(5)
            sock.connect("/run/dpdk/%s/dpdk_telemetry.v2" % self.prefix)
            sock.recv(16384)
            sock.send(command.encode())
            return json.loads(sock.recv(1 << 20))[command.split(",")[0]]


class Nic:
    """A virtio-net card of a guest: chardev, netdev and device options in QEMU's words."""

    def __init__(self, sock, mac, chardev="", netdev="", device=""):
        self.sock, self.mac = sock, mac
        self.chardev, self.netdev, self.device = chardev, netdev, device


def qemu_argv(version):
    if version == 7:
        return ["qemu-system-x86_64"]
    base = os.path.join(CACHE, "qemu10/usr")
    return [base + "/bin/qemu-system-x86_64", "-L", base + "/share/qemu",
            "-L", "/usr/share/seabios"]


class Agent(Process):
    """A guest that runs commands: init serves them at the other end of the socket .agent."""

    agent = None

    def __init__(self, name, argv, **options):
        super().__init__(name, argv, **options)
        self.console = self.log_path
        self.number = 0
        self.inbox = b""

    def _line(self, end):
        while b"\n" not in self.inbox:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.agent.settimeout(left)
            try:
                data = self.agent.recv(65536)
            except socket.timeout:
                return None
            if not data:
                return None
            self.inbox += data
        line, self.inbox = self.inbox.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def _answer(self, number, seconds):
        end, lines = time.monotonic() + seconds * PATIENCE, []
        while True:
            line = self._line(end)
            if line is None:
                return None, "\n".join(lines)
            if line.startswith("@"):
                word = line[1:].split()
                if len(word) == 2 and word[0] == str(number):
                    return int(word[1]), "\n".join(lines)
                if len(word) == 2 and word[0].isdigit():
                    lines = []  # a late answer to a command that was given up
                    continue
            lines.append(line)

    def wait_ready(self, seconds=90):
        status, _ = self._answer(0, seconds)
        if status is None:
            with open(self.console, errors="replace") as text:
                last = (text.read().strip().splitlines() or ["no console output"])[-1]
            raise Failure("guest %s does not boot: %s; %s"
                          % (self.name, self.last_line(), last))

    def run(self, command, seconds=20):
        """Run a shell command in the guest: its status (None: no answer in time), its output."""
        self.number += 1
        self.agent.sendall(("%d %s\n" % (self.number, command)).encode())
        return self._answer(self.number, seconds)

    def must(self, command, seconds=20):
        status, output = self.run(command, seconds)
        last = output.strip().splitlines()[-1:] or ["no output"]
        check(status == 0, "guest %s: '%s': %s, %s" % (
            self.name, command[:70], "no answer" if status is None else "status %d" % status,
            last[0]))
        return output

    def interface(self, mac):
        """Name of the interface with this address."""
        return self.must("basename $(dirname $(grep -l %s /sys/class/net/*/address))"
                         % mac).strip()

    def features(self, name):
        """Negotiated virtio feature bits of an interface."""
        bits = self.must("cat /sys/class/net/%s/device/features" % name).strip()
        return {i for i, bit in enumerate(bits) if bit == "1"}


class Guest(Agent):
    """A guest under TCG, its command agent on one socket and QMP on another. With several nodes
    each has its part of the processors and of the memory."""

    def __init__(self, name, nics, qemu=7, cpus=1, memory=256, memory_options="", extra=(),
                 wait=True, image="guest", initrd=None, append="", nodes=1):
        self.sockets = {kind: path("%s.%s" % (name, kind)) for kind in ("cmd", "qmp")}
        for stale in self.sockets.values():
            if os.path.exists(stale):
                os.unlink(stale)
        # Linux patches its code in a way that QEMU 7.2 does not bear on several threads; QEMU 10
        # ends at times when one of them maps cards while another starts
        accel = "tcg,thread=single" if cpus > 1 and (qemu == 7 or nics) else "tcg"
        argv = qemu_argv(qemu) + [
            "-machine", "q35" + (",memory-backend=m0" if nodes == 1 else ""), "-accel", accel,
            "-cpu", "max", "-smp", str(cpus), "-m", "%d%s" % (memory, memory_options),
            "-nodefaults", "-display", "none", "-no-reboot",
            "-kernel", os.path.join(CACHE, image, "vmlinux"),
            "-initrd", initrd or os.path.join(CACHE, image, "initrd"),
            # a timer that is late, on a busy machine, is no reason to end
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests "
            "no_timer_check memhp_default_state=online_movable " + append,
            "-serial", "file:" + path(name + ".console"),
            "-serial", "unix:%s,server=on,wait=off" % self.sockets["cmd"],
            "-qmp", "unix:%s,server=on,wait=off" % self.sockets["qmp"]]
        for i in range(nodes):
            argv += ["-object", "memory-backend-memfd,id=m%d,size=%dM,share=on" % (
                i, memory // nodes)]
            if nodes > 1:
                argv += ["-numa", "node,nodeid=%d,cpus=%d-%d,memdev=m%d" % (
                    i, i * cpus // nodes, (i + 1) * cpus // nodes - 1, i)]
        argv += list(extra)
        for i, nic in enumerate(nics):
            device = nic.device
            if qemu == 7:
                # Debian's QEMU 7.2 dies in MSI-X set-up with TCG and vhost-user
                device = "vectors=0" + ("," + device if device else "")
            argv += ["-chardev", ",".join(filter(None, [
                         "socket,id=c%d,path=%s" % (i, nic.sock), nic.chardev])),
                     "-netdev", ",".join(filter(None, [
                         "vhost-user,id=n%d,chardev=c%d" % (i, i), nic.netdev])),
                     "-device", ",".join(filter(None, [
                         "virtio-net-pci,id=nic%d,netdev=n%d,mac=%s,romfile=" % (i, i, nic.mac),
                         device]))]
        super().__init__(name, argv)
        self.console = path(name + ".console")
        self.monitor = None
        # at once, for what a guest says while nobody is connected is lost
        self.agent = self._connect("cmd")
        if wait:
            self.wait_ready()

    def _connect(self, kind):
        def attempt():
            check(self.alive(), "guest %s ended: %s" % (self.name, self.last_line()))
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.sockets[kind])
                return sock
            except OSError:
                sock.close()
                return None
        return wait_for("%s socket of guest %s" % (kind, self.name), attempt, 10)

    def qmp(self, command, **arguments):
        """One QMP command; the value of its return, Failure on an error."""
        if self.monitor is None:
            self.monitor = self._connect("qmp").makefile("rw")
            self.monitor.readline()
            self.qmp("qmp_capabilities")
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self.monitor.write(json.dumps(request) + "\n")
        self.monitor.flush()
        while True:
            line = self.monitor.readline()
            check(line, "guest %s: QMP closed" % self.name)
            reply = json.loads(line)
            if "return" in reply:
                return reply["return"]
            check("error" not in reply, "QMP %s: %s" % (
                command, reply.get("error", {}).get("desc", "")))


def ping(guest, address, count=5, interval=0.2, wait=1):
    """Packets lost."""
    wait = math.ceil(wait * PATIENCE)
    status, output = guest.run("ping -c %d -i %g -W %d %s" % (count, interval, wait, address),
                               count * max(interval, 0.01) + wait * 3 + 20)
    match = re.search(r"(\d+) packets transmitted, (\d+) packets received", output)
    check(match, "guest %s: ping %s said nothing" % (guest.name, address))
    return int(match.group(1)) - int(match.group(2))


# between two tests an iperf3 server closes its socket for a moment and opens it anew
IPERF_BETWEEN = re.compile(r"unable to connect|reset by peer|server is busy")


def iperf(guest, address, seconds=1, options="", port=5201, amount=None):
    """Mbit/s that the receiver of one TCP run saw, of so many seconds or of this amount."""
    end = "-n " + amount if amount else "-t %g" % seconds
    command = "iperf3 -c %s -p %d %s -f m %s" % (address, port, end, options)
    for _ in range(5):
        status, output = guest.run(command, seconds + 25)
        if status == 0 or not IPERF_BETWEEN.search(output):
            break
        time.sleep(0.3)
    check(status == 0, "guest %s: %s: %s" % (
        guest.name, command, " / ".join(output.strip().splitlines()[-1:]) or "no answer"))
    rates = re.findall(r"([\d.]+) Mbits/sec.*receiver", output)
    check(rates, "guest %s: iperf3 to %s moved nothing" % (guest.name, address))
    return float(rates[-1])
