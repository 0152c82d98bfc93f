# SPDX-License-Identifier: BSD-3-Clause
"""Prints what a user sees of the driver and its programs: dump.py BUILD_DIR

The lines are the same in each run of one build. What is not (addresses, times, numbers of polls,
of calls and of messages) is N, a random MAC address is MAC, the directory of the sockets is RUN.
Log lines of a port that runs are sorted, each once, since several threads print them.
"""

import difflib
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../guest"))

import bed  # noqa: E402
from bed import path  # noqa: E402

BUILD = sys.argv[1]
MAC = "02:00:00:00:00:01"       # the one that is given, which is shown
SOCK = path("s")
LOG_LINE = re.compile(r"(?:net_vring\d+|EAL|ETHDEV): [^\n]*\n")

# numbers that differ from run to run, by name
VARIES = re.compile(r"(connected_ms|last_disconnect_ms|stalled_ms|unpolled_ms|messages|calls"
                    r"|calls_suppressed|calls_coalesced|calls_deferred|guest_address"
                    r"|frontend_address)$")
# those that polls change as well
POLLED = re.compile(r"(waiting|in_flight|avail_idx|used_idx|[rt]x_bursts\.\w+|retries"
                    r"|management_refused)$")

# the same in a private dump
COUNTS = [(r"\bcallfd \d+", "callfd N"), (r"\b\d+ (calls|suppressed)\b", r"N \1"),
          (r"\bmessages: \d+", "messages: N")]
# of many queues the first eight are shown
FURTHER = re.compile(r"(_q|vring[_ ])([89]|\d\d+)(?!\d)|Queue\[ ?([89]|\d\d+)\]")
# what surrounds the port's own words where it is refused
FRAME = re.compile(r"Attaching a new port\.\.\.|EAL: Driver cannot attach the device|"
                   r"EAL: Failed to attach device on primary process|"
                   r"testpmd: Failed to attach port")

JUNK = ("", "many", "4x", "-1", "+1", "1.5", "4294967296", "99999999999999999999")
NO_SWITCH = ("2", "on") + JUNK

# key, the roles that take it, values that are good and bad, perhaps with further arguments
KEYS = [
    ("queues", "iface path", ("1", "4", "0x4", "128"), ("0", "129") + JUNK),
    ("client", "iface", ("0", "1"), NO_SWITCH),
    ("iommu-support", "iface path", ("0", "1"), NO_SWITCH),
    ("iommu-keep", "iface", ("0", "1"), NO_SWITCH),
    ("postcopy-support", "iface", ("0", "1"), NO_SWITCH),
    ("tso", "iface", ("0", "1", "1,csum=1", "1,csum=partial"), ("1,csum=0",) + NO_SWITCH),
    ("linear-buffer", "iface", ("0", "1"), NO_SWITCH),
    ("ext-buffer", "iface", ("0", "1"), NO_SWITCH),
    ("legacy-ol-flags", "iface", ("0", "1"), NO_SWITCH),
    ("server", "path", ("0", "1"), NO_SWITCH),
    ("queue_size", "path", ("2", "64", "1024", "32768", "300,packed_vq=1"),
     ("0", "1", "300", "32769", "65536") + JUNK),
    ("cq", "path", ("0", "1"), NO_SWITCH),
    ("packed_vq", "path", ("0", "1"), NO_SWITCH),
    ("mrg_rxbuf", "path", ("0", "1"), NO_SWITCH),
    ("in_order", "path", ("0", "1"), NO_SWITCH),
    ("vectorized", "path", ("0", "1"), NO_SWITCH),
    ("dirty-log", "path", ("0", "1"), NO_SWITCH),
    ("iommu-pages", "path", ("0", "1"), NO_SWITCH),
    ("ifname", "path", (), ("tap0",) + JUNK),
    ("mac", "iface path", (MAC,),
     ("52:54:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff",
      "02:00:00:00:00:0g", MAC.replace(":", "-")) + JUNK),
    ("mtu", "iface path", ("68", "1500", "9000", "65509"), ("0", "67", "65510") + JUNK),
    ("speed", "iface path", ("10", "100", "1000", "2500", "5000", "10000", "20000", "25000",
                             "40000", "50000", "56000", "100000", "200000"),
     ("0", "7", "1001", "0x10") + JUNK),
    ("numa", "iface path", ("0",), ("31", "32", "1024") + JUNK),
    ("ctrl-lcore", "iface path", (str(bed.CPUS[0]), str(bed.CPUS[-1])), ("1023", "1024") + JUNK),
    ("max-ring", "iface", ("64", "1000", "32768"), ("0", "63", "32769") + JUNK),
    ("csum", "iface path", ("0", "1", "partial"), ("2", "on") + JUNK),
    ("packed", "iface", ("0", "1"), NO_SWITCH),
    ("zero-copy", "iface", ("0", "1", "1,zero-copy-min=0"), NO_SWITCH),
    ("zero-copy-min", "iface", ("0", "65535"), ("65536",) + JUNK),
    ("hash-report", "iface", ("0", "1"), NO_SWITCH),
    ("call-thread", "iface", ("0", "1"), NO_SWITCH),
    ("call-us", "iface", ("0", "10000"), ("10001",) + JUNK),
    ("tx-retries", "iface path", ("0", "1000"), ("1001",) + JUNK),
    ("tx-steering", "iface", ("thread", "hash"),
     ("0", "hash,iommu-support=1", "hash,postcopy-support=1") + JUNK),
    ("reconnect-ms", "iface", ("10,client=1", "60000,client=1", "100"), ("9", "60001") + JUNK),
    ("reconnect-ms", "path", ("10", "60000"), ("9", "60001") + JUNK),
    ("stall-ms", "iface path", ("0", "10", "3600000"), ("3600001",) + JUNK),
    ("sock-mode", "iface", ("0600", "777", "1"),
     ("0", "1000", "0999", "rw", "0600,client=1") + JUNK),
    ("sock-mode", "path", ("0600,server=1",), ("0600", "0,server=1", "0999,server=1")),
    ("sock-group", "iface", ("root", "0", "65534"),
     ("no-such-group", "4294967295", "0,client=1") + JUNK),
    ("sock-group", "path", ("0,server=1",), ("0", "no-such-group,server=1")),
    ("state-dir", "iface", ("/run",), ("", "/" + "x" * 108)),
    ("stats", "iface path", ("0", "1"), NO_SWITCH),
    ("vdpa", "iface path", (), ("/dev/vhost-vdpa-0", "", "1")),
    # a hyphen for an underscore, and the reverse
    ("sock_mode", "iface", ("0600",), ("0999",)),
    ("queue-size", "path", ("64",), ("300",)),
]
# what an argument of a key alone cannot show
WHOLE = [
    "", "queues=1", "iface", "iface=", "path=", "iface=%s,path=%s" % (SOCK, SOCK),
    "iface=%s,bogus=1" % SOCK, "iface=%s,bogus" % SOCK, "path=%s,bogus=1" % SOCK,
    "iface=%s,=1" % SOCK, "iface=%s,," % SOCK, "iface=%s,mtu" % SOCK, "iface=%s,IFACE=x" % SOCK,
    "iface=%s,mtu=1500,mtu=1500" % SOCK, "path=%s,queue_size=64,queue-size=64" % SOCK,
    "iface=" + path("none/s"), "iface=" + path("none/s") + ",client=1", "iface=" + bed.RUN,
    "path=" + path("none/s"), "path=" + path("none/s") + ",server=1", "path=" + bed.RUN,
    "iface=" + path("file"), "path=" + path("file"), "path=%s,server=1" % path("file"),
    "iface=" + path("live"), "path=%s,server=1" % path("live"),
    "path=/dev/null", "path=/dev/vhost-vdpa-77", "path=/dev/null,server=1",
    "path=/dev/vhost-vdpa-77,server=1", "path=/dev/vhost-vdpa-77,cq=1",
] + ["%s=%s" % (role, path("l" * (size - len(path(""))))) for role in ("iface", "path")
     for size in (107, 108, 200)]

# arguments of a back-end and of a front-end that talk to each other, and what the latter enables
PAIRS = [
    ("", "", ""), ("tso=1", "", ""), ("tso=1", "", "tcp_lro"), ("", "", "tcp_cksum"),
    ("", "", "scatter"), ("", "mrg_rxbuf=1", ""), ("", "mrg_rxbuf=0", ""),
    ("csum=0", "", "tcp_cksum"), ("csum=partial", "", ""), ("", "csum=0", ""),
    ("", "packed_vq=1", ""), ("packed=0", "packed_vq=1", ""), ("", "packed_vq=1,in_order=0", ""),
    ("", "in_order=0", ""), ("zero-copy=1", "", ""), ("linear-buffer=0", "", ""),
    ("legacy-ol-flags=1", "", ""), ("", "vectorized=1", ""), ("", "cq=1", ""),
    ("mtu=9000", "", ""), ("mtu=9000", "mtu=4000", ""), ("", "mtu=9000", ""),
    ("queues=4", "", ""), ("", "queues=4", ""), ("", "queue_size=1024", ""),
    ("stats=0", "stats=0", ""), ("", "mac=" + MAC, ""), ("", "speed=40000", ""),
    ("client=1", "server=1", ""),
]
# rings that the back-end does not serve
UNSERVED = ("max-ring=64", "queue_size=128", "")

OFFERS = ["", "tso=1", "csum=0", "csum=partial", "packed=0", "queues=4", "queues=128", "mtu=9000",
          "zero-copy=1", "max-ring=64", "mac=" + MAC, "speed=40000", "legacy-ol-flags=1"]

TELEMETRY = ["list", "status", "queues", "features", "memory", "hist"]
WRONG = ["list,0", "status", "status,", "status,x", "status,9", "status,0,0", "queues", "queues,0,",
         "queues,0,-1", "queues,0,1", "queues,9", "hist", "hist,0", "hist,0,1", "hist,0,0,0",
         "features", "features,9", "memory", "memory,x"]

PROBE = [[], ["--help"], ["-h"], ["--bogus", "/x"], ["/x", "/y"], ["--timeout"],
         ["--timeout", "0", "/x"], ["--timeout", "60001", "/x"], ["--timeout", "1x", "/x"],
         ["--timeout", "", "/x"], ["--json=1", "/x"], [path("none")], [path("file")], [bed.RUN],
         [path("dead")], ["--timeout", "200", path("live")], ["/dev/null"],
         ["--json", path("file")], ["/dev/vhost-vdpa-77"], ["--json", "--traffic", path("none")],
         [path("l" * 120)]]

MEASURE = ["--measure", "net_vring"]
PERF = [[], ["--help"], ["--version"], ["--bogus"], ["x"], ["--compare"],
        ["--compare", "net_vring"], ["--measure"], MEASURE + MEASURE, MEASURE + ["x"],
        MEASURE + ["--bogus"], MEASURE + ["-x"],
        ["--measure", "net_virtio_user"], ["--measure-front", "net_vhost"],
        ["--compare", "net_vring", "net_virtio_user"], MEASURE + ["--peer", "net_vhost"],
        ["--measure-front", "net_vring", "--peer", "net_virtio_user"],
        MEASURE + ["--b-args", "tso=1"], MEASURE + ["--b-plugin", "x"],
        MEASURE + ["--csv", "x", "--json", "x"], MEASURE + ["--csv", "--json"],
        MEASURE + ["--idle-ports", "31"], MEASURE + ["--ring", "100"]] + [
    MEASURE + ["--" + name, value] for name, values in (
        ("mrg", "2"), ("in-order", "2"), ("offloads", "2"), ("vectorized", "2"), ("queues", "0 17"),
        ("ring", "63 32769"), ("burst", "0 100000"), ("idle-ports", "-1 32 x"),
        ("rounds", "0 1000000"), ("slice", "9 1001"), ("think", "1000001"),
        ("distance", "100001 1x"), ("size", "59 9001 64, imix,x , " + ",".join(["64"] * 99)),
        ("layout", "ring"), ("path", "rx, x all,x"), ("cpus", "0 0,0 x 0,1,2 0,4096"))
    for value in values.split(" ")] + [MEASURE + ["--" + name] for name in (
        "mrg", "size", "layout", "path", "cpus", "peer", "plugin", "a-args", "plot")]


def normal(text):
    text = text.replace(bed.RUN, "RUN").replace(BUILD, "BUILD")
    return re.sub(r"(?i)(?<!mac=)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b",
                  lambda found: found.group() if found.group() == MAC else "MAC", text)


def show(lines, indent="    "):
    for line in lines:
        print((indent + normal(line)).rstrip())


def section(title):
    print("\n== %s" % normal(title), flush=True)


def flat(value, name="", polled=False):
    """The leaves of what telemetry answers, each with its path."""
    if isinstance(value, dict):
        return [line for key, inner in value.items()
                for line in flat(inner, name + "." + key, polled)] or [name + " {}"]
    if isinstance(value, list) and name and all(isinstance(item, str) for item in value):
        return ["%s %s" % (name, item) for item in value] or [name + " []"]
    if VARIES.search(name) or (polled and POLLED.search(name)):
        value = "N"
    return ["%s %s" % (name, value)]


class Host(bed.Testpmd):
    """A testpmd that ports are attached to, beside others and without hugepages."""

    def __init__(self, name, vdevs=("net_null0",), args=(), eal=()):
        super().__init__(name, list(vdevs), huge=False, memory=400, mbufs=8192,
                         args=["--disable-link-check"] + list(args),
                         eal=["--single-file-segments"] + list(eal))
        self.mark = 0

    def told(self, line):
        """All that is printed from a command up to the next prompt."""
        def new():
            return bed.Process.log(self, before)

        def done():
            if not self.alive():
                raise bed.Failure("%s ended: %s" % (self.name, self.last_line()))
            return self.count_prompts(new()) > 0
        before = os.path.getsize(self.log_path)
        self.send(line)
        self.prompts += 1
        bed.wait_for("prompt after '%s'" % line, done, 15, 0.002)
        return new()

    def cmd(self, line, seconds=15):
        return self.told(line).replace(line, "", 1).replace(self.PROMPT, "").strip()

    def says(self, line):
        """The lines that a command prints, without the prompt and what other threads say."""
        text = self.without_messages(self.told(line))
        for scrap in (line, self.PROMPT):
            text = re.sub(r"\n*".join(map(re.escape, scrap)), "", text, count=1)
        return [part.rstrip() for part in text.split("\n") if part.strip()]

    def logged(self, name=""):
        """Log lines of a port since the last attach, each once."""
        return sorted({line.strip() for line in LOG_LINE.findall(self.log()[self.mark:])
                       if line.startswith(name)})

    def attach(self, number, options):
        """None, or what was said where the port was refused."""
        self.mark = len(self.log())
        said = self.cmd("port attach net_vring%d,%s" % (number, options))
        if "is attached. Now total ports" in said:
            return None
        # the other port has a thread of its own that prints
        mine = re.sub(r"net_vring(?!%d:)\d+: [^\n]*\n" % number, "", said)
        return [line for line in mine.splitlines() if line.strip() and not FRAME.match(line)]

    def detach(self, port):
        self.cmd("port stop %d" % port)
        return self.says("port detach %d" % port)

    def left(self, port):
        """Wait until a port has noticed that its peer is gone."""
        bed.wait_for("end of the session of port %d" % port,
                     lambda: self.telemetry("/net_vring/status,%d" % port)["connected"] == 0)

    def tel(self, command, polled=False):
        return flat(self.telemetry(command), command.replace("/net_vring/", ""), polled)

    def xstats(self, port, values=False):
        told = self.telemetry("/ethdev/xstats,%d" % port)
        return flat(told, "xstats,%d" % port) if values else ["xstats " + name for name in told]

    def picture(self, port, queues=1):
        """All that can be asked of a port."""
        lines = []
        for command in ("show port info %d", "show port %d rx_offload capabilities",
                        "show port %d tx_offload capabilities", "show port %d ptypes",
                        "show port %d macs", "show port summary %d", "show device info net_vring%d",
                        "show port %d rx_offload configuration",
                        "show port %d tx_offload configuration"):
            lines += self.says(command % port)
        for queue in range(queues):
            for side in "rt":
                lines += self.says("show %sxq info %d %d" % (side, port, queue))
        for question in ("status,%d", "features,%d", "memory,%d", "queues,%d"):
            lines += self.tel("/net_vring/" + question % port)
        for queue in range(queues):
            for question in ("queues", "hist"):
                lines += self.tel("/net_vring/%s,%d,%d" % (question, port, queue))
        lines += self.private(port) + self.xstats(port)
        lines.append("xstats: %d names" % len(self.xstats(port)))
        return [normal(line) for line in lines if not FURTHER.search(line)]

    def private(self, port):
        # of many queues there is none, an answer has not that much room
        text = self.telemetry("/ethdev/dump_priv,%d" % port) or "none"
        for pattern, placeholder in COUNTS:
            text = re.sub(pattern, placeholder, text)
        return ["dump " + line for line in text.split("\n") if line.strip()]

    def settled(self, *ports, queues=1):
        """Pictures of ports that do no longer change."""
        before, end = None, time.monotonic() + 5
        while True:
            now = [self.picture(port, queues) for port in ports]
            if now == before or time.monotonic() > end:
                return now
            before = now
            time.sleep(0.05)


def changes(lines, usual):
    """What differs from the usual, but the arguments that were given."""
    kept = [[line for line in text if "Devargs: " not in line] for text in (usual, lines)]
    return [line[0] + " " + line[1:] for line in difflib.unified_diff(*kept, n=0, lineterm="")
            if not line.startswith(("---", "+++", "@@"))]


def socket_kind():
    try:
        found = os.stat(SOCK)
        return "socket: mode %o group %d" % (found.st_mode & 0o7777, found.st_gid)
    except FileNotFoundError:
        return "socket: none"


def one(host, options, usual=()):
    """A port with these arguments: what differs from the usual, or why it is refused."""
    print("  %s" % normal(options))
    said = host.attach(1, options)
    if said is not None:
        show(said, "    refused: ")
        return None
    if not usual:
        show(host.picture(1, queues=0), "    attached: ")
    host.cmd("port start 1")
    lines = host.picture(1) + [socket_kind()]
    host.detach(1)
    show(changes(lines, usual) if usual else lines)
    show(host.logged("net_vring1"), "    log: ")
    return lines


def arguments(role):
    """Each key of one role with good and bad values; what is shown is what they change."""
    host = Host("devargs-" + role)
    base = "%s=%s" % (role, SOCK)
    section("a port with %s= alone" % role)
    usual = one(host, base)
    section("arguments of a port with %s=" % role)
    for key, roles, good, bad in KEYS:
        # a key of the other role has one value, to be refused
        for value in good + bad if role in roles.split() else good[:1]:
            one(host, "%s,%s=%s" % (base, key, value), usual)
    section("other arguments, as of a port with %s=" % role)
    for options in WHOLE:
        if options.startswith("path=") == (role == "path"):
            one(host, options, usual)
    if role == "iface":
        section("two ports with one socket")
        host.attach(1, base)
        for second in (base, "path=%s,server=1" % SOCK):
            show(host.attach(2, second) or ["attached"], "    refused: ")
            host.left(1)
        show(host.detach(1))
        show(host.logged("net_vring1"), "    log: ")
    host.quit()


def connect(host, back, front, offload, up=True):
    """Attaches and starts both ends; waits for the link."""
    host.attach(1, ",".join(filter(None, ["iface=" + SOCK, back])))
    host.cmd("port start 1")
    mark = host.mark
    host.attach(2, ",".join(filter(None, ["path=" + SOCK, front])))
    host.mark = mark
    if offload:
        show(host.says("port config 2 rx_offload %s on" % offload))
    host.cmd("port start 2")
    for port in (1, 2):
        if up:
            host.wait_link(port)


def events(host):
    with open(host.log_path, errors="replace") as log:
        return sorted(set(re.findall(r"Port \d+: [a-z ]+ event\n", log.read())))


def sessions():
    """Both ends in one process: what they agree on, and what they say of it."""
    host, usual = Host("sessions"), None
    for back, front, offload in PAIRS + [UNSERVED]:
        section("back-end '%s', front-end '%s', offload '%s'" % (back, front, offload))
        connect(host, back, front, offload, (back, front, offload) != UNSERVED)
        pictures = host.settled(1, 2)
        for name, lines, before in zip(("back", "front"), pictures, usual or [[], []]):
            show(changes(lines, before) if usual else lines, "    %s: " % name)
        usual = usual or pictures
        host.detach(2)
        host.left(1)
        if back == front == offload == "":
            show(host.tel("/net_vring/status,1"), "    left: ")
        host.detach(1)
        show(host.logged("net_vring"), "    log: ")
    section("events")
    show(line.strip() for line in events(host))
    host.quit()


def ends():
    """Who leaves first, who comes second, and each message by its name."""
    host = Host("ends", eal=["--log-level=pmd.net.vring:debug"])
    section("log of level debug, a second front-end, a back-end that leaves and comes back")
    connect(host, "", "", "")
    host.settled(1, 2)
    with socket.socket(socket.AF_UNIX) as second:
        second.settimeout(5)
        second.connect(SOCK)
        print("    second: %r" % second.recv(1))
    show(host.detach(1))
    host.left(2)
    show(host.tel("/net_vring/status,2"))
    host.says("port attach net_vring1,iface=" + SOCK)
    host.cmd("port start 1")
    host.wait_link(2)
    status, = [line for line in host.tel("/net_vring/status,2") if ".connects" in line]
    show([status])
    host.detach(2)
    host.left(1)
    host.detach(1)
    show(host.logged("net_vring"), "    log: ")
    host.quit()


def traffic(pairs):
    """Counters, names and telemetry of a port with so many pairs, before and after packets."""
    vdevs = [bed.vdev(number, "%s=%s,queues=%d" % (role, SOCK, pairs))
             for number, role in enumerate(("iface", "path"))]
    host = Host("traffic-%d" % pairs, vdevs, ["--rxq=%d" % pairs, "--txq=%d" % pairs])
    for port in (0, 1):
        host.wait_link(port)
    section("two ports of %d queue pairs" % pairs)
    for name, lines in zip(("back", "front"), host.settled(0, 1, queues=pairs)):
        show(lines, "    %s: " % name)
    section("after 32 packets on each of %d queues" % pairs)
    host.cmd("set fwd rxonly")
    host.cmd("start tx_first 1")
    for port in (0, 1):
        bed.wait_for("packets", lambda: host.stats(port)["ipackets"] >= 32 * pairs)
    host.cmd("stop")
    for port in (0, 1):
        show(host.xstats(port, values=True))
        for queue in range(pairs):
            for question in ("queues", "hist"):
                show(host.tel("/net_vring/%s,%d,%d" % (question, port, queue), polled=True))
    if pairs == 1:
        section("telemetry")
        show(line for line in host.tel("/") if "net_vring" in line)
        for command in TELEMETRY:
            show(host.tel("/help,/net_vring/" + command))
        show(host.tel("/net_vring/list"))
        for wrong in WRONG:
            show(host.tel("/net_vring/" + wrong))
        section("log type")
        show(re.sub(r"id \d+: ", "", line) for line in host.says("dump_log_types")
             if "vring" in line)
    host.quit()


def run(program, arguments):
    """Status and output of a program; its own path is not shown."""
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    print("  %s" % normal(" ".join([os.path.basename(program)] + [
        argument if argument else "''" for argument in arguments])))
    for name, text in (("out", done.stdout), ("err", done.stderr)):
        show(text.replace(program, os.path.basename(program)).splitlines(), "    %s: " % name)
    print("    status %d" % done.returncode)


def offers():
    """What vring-probe finds at a port, by its arguments."""
    def probe(*arguments):
        run(os.path.join(BUILD, "app/vring-probe/vring-probe"), [*arguments, SOCK])
        host.left(1)
    host = Host("offers")
    for options in OFFERS:
        section("what a port with '%s' offers" % options)
        host.attach(1, ",".join(filter(None, ["iface=" + SOCK, options])))
        host.cmd("port start 1")
        probe()
        if not options:
            probe("--json")
            probe("--traffic")
            host.cmd("set portlist 1")
            host.cmd("start")
            probe("--json", "--traffic")
            host.cmd("stop")
        host.detach(1)
        show(host.logged("net_vring"), "    log: ")
    section("what a front-end's socket offers")
    host.attach(1, "path=%s,server=1" % SOCK)
    probe("--timeout", "200")
    host.detach(1)
    host.quit()


def programs():
    for name, calls in (("vring-probe", PROBE), ("vring-perf", PERF)):
        section("arguments of " + name)
        for call in calls:
            run(os.path.join(BUILD, "app", name, name), call)
    section("dpdk-pmdinfo.py")
    run("dpdk-pmdinfo.py", [bed.PLUGIN])


def main():
    os.umask(0o022)
    with open(path("file"), "w", encoding="utf-8") as file:
        file.write("precious")
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as live:
        dead.bind(path("dead"))
        live.bind(path("live"))
        dead.close()
        live.listen(64)
        programs()
        offers()
        traffic(1)
        traffic(4)
        sessions()
        ends()
        arguments("iface")
        arguments("path")


main()
