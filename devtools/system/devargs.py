# SPDX-License-Identifier: BSD-3-Clause
"""What a port does with bad arguments and with what it finds at its socket's path."""

import grp
import os
import re
import shutil
import socket
import stat
import threading

import bed
from bed import check, path

PORT = "net_vring1"

# case, devargs behind the name, key or path that the message names, what it says is allowed
REFUSED = [
    ("unknown-key", "iface=SOCK,bogus=1", "bogus", r"\biface\b"),
    ("nothing-to-connect", "queues=1", "iface", r"iface"),
    ("queues-0", "iface=SOCK,queues=0", "queues", r"\b1\b"),
    ("queues-word", "iface=SOCK,queues=many", "queues", r"\b1\b"),
    ("queues-trailing", "iface=SOCK,queues=4x", "queues", r"\b1\b"),
    ("queues-large", "iface=SOCK,queues=100000", "queues", r"\d"),
    ("client-2", "iface=SOCK,client=2", "client", r"\b0\b.*\b1\b"),
    ("tso-word", "iface=SOCK,tso=on", "tso", r"\b0\b.*\b1\b"),
    ("mtu-small", "iface=SOCK,mtu=10", "mtu", r"\b68\b"),
    ("mtu-large", "iface=SOCK,mtu=70000", "mtu", r"\d"),
    ("mac", "iface=SOCK,mac=52:54:00", "mac", r"[Xx0-9a-f]{2}:[Xx0-9a-f]{2}:"),
    ("mac-multicast", "iface=SOCK,mac=01:00:5e:00:00:01", "mac", r"unicast|multicast"),
    ("max-ring", "iface=SOCK,max-ring=3", "max-ring", r"power|\d"),
    ("sock-mode", "iface=SOCK,sock-mode=0999", "sock-mode", r"octal|0[67]"),
    ("sock-group", "iface=SOCK,sock-group=no-such-group", "sock-group", r"group"),
    ("reconnect-ms", "iface=SOCK,client=1,reconnect-ms=-1", "reconnect-ms", r"\d"),
    ("missing-directory", "iface=DIR/none/vr.sock", "none/vr.sock", r"(?i)no such|missing"),
    ("two-roles", "iface=SOCK,path=SOCK", "path", r"one of them"),
    ("other-role", "iface=SOCK,queue_size=256", "queue_size", r"path="),
    ("front-queue-size", "path=SOCK,queue_size=300", "queue_size", r"power of two"),
    ("front-other-role", "path=SOCK,client=1", "client", r"iface="),
    ("front-no-device", "path=/dev/vhost-vdpa-77", "vhost-vdpa-77", r"(?i)no such"),
    ("front-wrong-device", "path=/dev/null", "/dev/null", r"vhost-vdpa"),
    ("path-too-long", "iface=DIR/%s" % ("l" * 120), "iface", r"\b10[78]\b"),
]

# devargs, what testpmd or Linux then says of the port, and what it would say without them
GRANTED = [
    ("speed=40000", "show port info 1", r"Link speed: 40 Gbps", r"Link speed: (?!40 )"),
    ("numa=0", "show port info 1", r"Connect to socket: 0", None),
    ("max-ring=256", "show port info 1", r"RXDs per queue: 256\b", r"RXDs per queue: 32768\b"),
    ("mtu=4000", "show port info 1", r"MTU: 4000", r"MTU: 1500"),
    ("queues=3", "show port info 1", r"possible RX queues: 3", r"possible RX queues: 1\b"),
    ("mac=02:00:00:00:00:07", "show port info 1", r"(?i)02:00:00:00:00:07", None),
    ("stats=0", "show port xstats 1", r"rx_q0_packets(?!(?s:.)*rx_q0_size)", r"rx_q0_size_64"),
    ("ctrl-lcore=%d" % bed.CPUS[-1], None, r"^%d$" % bed.CPUS[-1], r"^\d+[-,]"),
]


class Host:
    """A testpmd to attach ports to."""

    def __init__(self, **options):
        self.testpmd = bed.Testpmd("devargs", ["net_null0"], memory=64, **options)
        self.ports = 1

    def attach(self, options):
        """What attaching a port printed; whether there is a port more."""
        said = self.testpmd.cmd("port attach %s,%s" % (PORT, options))
        return said, "is attached. Now total ports is 2" in said

    def refuse(self, options, key, allowed):
        said, attached = self.attach(options)
        if attached:
            self.detach()
        check(not attached, "attached with %s" % options)
        check("Failed to attach port" in said, "the application took it for success")
        check(self.testpmd.alive(), "testpmd ended: " + self.testpmd.last_line())
        named = re.escape(key).replace(r"\-", "[-_]") + r"\b"
        lines = [line for line in said.splitlines()
                 if PORT in line and "attach" not in line and re.search(named, line)]
        check(lines, "no line names port and key: " + " / ".join(said.splitlines()))
        check(len(lines) == 1, "%d lines: %s" % (len(lines), " / ".join(lines)))
        check(re.search(allowed, lines[0]), "does not say what is allowed: " + lines[0])
        check("net_null0" in self.testpmd.cmd("show device info all"), "testpmd does not answer")

    def accept(self, options):
        said, attached = self.attach(options)
        check(attached, "not attached: " + " / ".join(said.splitlines()[:3]))

    def detach(self):
        self.testpmd.cmd("port stop 1")
        said = self.testpmd.cmd("port detach 1")
        check("is detached" in said, "not detached: " + " / ".join(said.splitlines()))


def no_debris(host, sock):
    check(not os.path.exists(sock), "a socket was left behind")


def refused(host, options, key, allowed):
    sock = path("vr.sock")
    host.refuse(options.replace("SOCK", sock).replace("DIR", bed.RUN), key, allowed)
    no_debris(host, sock)


def regular_file(host):
    name = path("file")
    with open(name, "w") as file:
        file.write("precious")
    host.refuse("iface=" + name, name, r"socket")
    with open(name) as file:
        check(file.read() == "precious", "the file was altered")


def directory(host):
    os.makedirs(path("dir"), exist_ok=True)
    host.refuse("iface=" + path("dir"), path("dir"), r"socket|directory")


def live_socket(host):
    """Of another process, this one."""
    name = path("live")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(4)
        host.refuse("iface=" + name, name, r"in use|served|another")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)


def stale_socket(host):
    name = path("stale")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
    host.accept("iface=" + name)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)
    finally:
        host.detach()
    check(not os.path.exists(name), "the socket outlives its port")


def mode_and_group(host):
    """From the first moment that the socket can be seen."""
    name, group = path("mode"), grp.getgrgid(os.stat("/dev/tty").st_gid).gr_name
    seen, done = set(), threading.Event()

    def watch():
        while not done.is_set():
            try:
                found = os.stat(name)
                seen.add((oct(stat.S_IMODE(found.st_mode)), grp.getgrgid(found.st_gid).gr_name))
            except FileNotFoundError:
                pass
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        host.accept("iface=%s,sock-mode=0660,sock-group=%s" % (name, group))
    finally:
        done.set()
        watcher.join()
    last = os.stat(name)
    host.detach()
    check(stat.S_IMODE(last.st_mode) == 0o660, "mode %o" % stat.S_IMODE(last.st_mode))
    check(grp.getgrgid(last.st_gid).gr_name == group, "group %d" % last.st_gid)
    # what others could do before is what counts; the group may come after a mode that is closed
    open_before = [mode for mode, _ in seen if int(mode, 8) & 0o007]
    check(not open_before, "was open to others at first: " + ", ".join(open_before))


def underscore(host):
    """Hyphen and underscore are the same in a key."""
    name = path("underscore")
    host.accept("iface=%s,sock_mode=0600,reconnect_ms=100" % name)
    mode = stat.S_IMODE(os.stat(name).st_mode)
    host.detach()
    check(mode == 0o600, "sock_mode=0600 made mode %o" % mode)


def control_thread(testpmd):
    """The processors that it may run on."""
    with open(testpmd.thread("vring-ctrl") + "/status", encoding="ascii") as status:
        return re.search(r"Cpus_allowed_list:\s+(\S+)", status.read()).group(1)


def granted(host, options, question, with_it, without):
    for given, expected in (("", without), ("," + options, with_it)):
        if not expected:
            continue
        host.accept("iface=" + path("granted") + given)
        try:
            host.testpmd.cmd("port start 1")
            said = host.testpmd.cmd(question) if question else control_thread(host.testpmd)
        finally:
            host.detach()
        check(re.search(expected, said), "with '%s': no '%s'" % (given, expected))


def no_permission(_):
    """As a user who may not write there."""
    os.chmod(bed.RUN, 0o755)
    plugin = path("plugin.so")
    shutil.copy(os.path.realpath(bed.PLUGIN), plugin)
    os.chmod(plugin, 0o644)
    home = path("nobody")
    os.makedirs(home, exist_ok=True)
    os.chown(home, 65534, 65534)
    host = Host(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                plugin=False, huge=False, eal=["-d", plugin, "--iova-mode=va"],
                env=dict(os.environ, XDG_RUNTIME_DIR=home))
    try:
        host.refuse("iface=" + path("denied"), path("denied"), r"(?i)permission")
        host.accept("iface=" + os.path.join(home, "granted"))
    finally:
        host.testpmd.quit()


def other_release():
    """An application of another release goes on without the driver; one line says why."""
    module = os.path.join(bed.BUILD, "app/test/other-release.so")
    check(os.path.exists(module), "no %s: devtools/build makes it" % module)
    host = Host(env=dict(os.environ, LD_PRELOAD=module))
    try:
        said = [line for line in host.testpmd.log().splitlines() if "net_vring" in line]
        check(len(said) == 1 and re.search(
            r"built for DPDK \d\d\.\d\d but loaded by DPDK 21\.11\.0: .*is needed", said[0]),
            "%d lines: %s" % (len(said), said))
        check(not host.attach("iface=" + path("other"))[1], "attached")
        no_debris(host, path("other"))
        check("net_null0" in host.testpmd.cmd("show device info all"), "testpmd does not answer")
    finally:
        host.testpmd.quit()


def run(report):
    host = Host()
    try:
        for name, options, key, allowed in REFUSED:
            report.case(name, refused, host, options, key, allowed)
        for options, *what in GRANTED:
            report.case("granted-" + options.split("=")[0], granted, host, options, *what)
        for function in (regular_file, directory, live_socket, stale_socket, mode_and_group,
                         underscore):
            report.case(function.__name__.replace("_", "-"), function, host)
        report.case("process-lives", lambda: check(host.testpmd.quit() == 0, "testpmd ended badly"))
    finally:
        host.testpmd.quit()
    report.case("no-permission", no_permission, None)
    report.case("other-release", other_release)
