# SPDX-License-Identifier: BSD-3-Clause
"""What the guides tell a user to type is typed, section by section.

A section is what stands below one heading. Each has an empty /run, network and process tree of its
own. Of its blocks marked "console", lines that begin with "testpmd> " go to the testpmd started
last, those with "Pktgen:/> " to pktgen; a testpmd, pktgen, QEMU, l2relay or l3fwd-power runs until
the section ends; all else has to end well before the next line. The end of a section quits its
testpmds and pktgen, and is a Ctrl-C for its l2relay.
Programs are those of this machine. Some stand behind a wrapper that adds what a machine of two
CPUs without the installed driver needs: see WRAPPERS.
"""

import glob
import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import time

import bed
from bed import check, path

PAGES = {
    "readme": "README.md",
    "guide": "doc/guides/nics/vring.rst",
    "ovs": "doc/guides/howto/ovs.rst",
    "no_vm": "doc/guides/howto/no_vm.rst",
    "migration": "doc/guides/howto/migration.rst",
    "iommu": "doc/guides/howto/iommu.rst",
    "l2relay": "doc/guides/howto/l2relay.rst",
    "l3fwd_power": "doc/guides/howto/l3fwd_power.rst",
    "vring_perf": "doc/guides/howto/vring_perf.rst",
    "vring_probe": "doc/guides/howto/vring_probe.rst",
}
# typed by the groups fe-vhost-net, and pktgen where there is its source
ELSEWHERE = ("doc/guides/howto/exceptional_path.rst", "doc/guides/howto/pktgen.rst")
# change the machine or take long; the tests as a whole do the same
NOT_TYPED = ("devtools/", "meson ", "ninja ", "DESTDIR=", "apt ", "echo 512 > /sys/")
TESTPMD, QEMU, RELAY, PKTGEN = "dpdk-testpmd", "qemu-system-x86_64", "l2relay", "pktgen"
STAY = (TESTPMD, QEMU, "build/examples/l2relay/" + RELAY, "build/l3fwd-power", PKTGEN)
PROMPT, PKTGEN_PROMPT = bed.Console.PROMPT, "Pktgen:/> "
PROMPTS = {TESTPMD: PROMPT, PKTGEN: PKTGEN_PROMPT}
COMPLAINT = re.compile(r"^(?:Bad arguments|Command not found|Ambiguous command|EAL: .*\b[Ee]rror\b"
                       r"|.*\*\* command not found|.*Invalid line: <"
                       r"|net_vring.*(?:[Ff]ailed|[Cc]annot|allowed)).*", re.M)

WRAPPERS = {
    "dpdk-testpmd": 'exec stdbuf -oL /usr/bin/dpdk-testpmd -d "$PLUGIN" -m 128 "$@" '
                    '--total-num-mbufs=8192 --no-mlockall',
    "qemu-system-x86_64": 'exec /usr/bin/qemu-system-x86_64 -S -display none '
                          '"${@/accel=kvm/accel=tcg}"',
    "vring-perf": 'exec "$ROOT/build/app/vring-perf/vring-perf" --plugin "$PLUGIN" "$@" '
                  '--rounds 1 --slice 20 --distance 0',
    "pktgen": 'TERM=xterm exec stdbuf -oL "$PKTGEN" -d "$PLUGIN" -m 448 "$@"',
    "vring-probe": 'exec "$ROOT/build/app/vring-probe/vring-probe" "$@"',
    "ping": 'exec busybox ping "$@"',
    "update-alternatives": '[ "$1 $2" = "--set ovs-vswitchd" ] && [ $# = 3 ] && [ -x "$3" ]',
    "systemctl": """[ "$*" = "restart openvswitch-switch" ] || exit 1
pid=/run/openvswitch/ovs-vswitchd.pid
if [ -e $pid ]; then
    kill "$(cat $pid)"
    for _ in {1..50}; do
        [ ! -e $pid ] || sleep 0.1
    done
fi
exec -a ovs-vswitchd /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk \\
    unix:/run/openvswitch/db.sock --pidfile --detach --no-chdir""",
}
OVS = """mkdir -p /run/openvswitch
ovsdb-tool create /run/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /run/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach --no-chdir
ovs-vsctl --no-wait init
ovs-vsctl --no-wait set Open_vSwitch . other_config:dpdk-alloc-mem=256 \\
    other_config:per-port-memory=false other_config:dpdk-lcore-mask=0x1 \\
    "other_config:dpdk-extra=--no-pci -d $PLUGIN"
"""
DPDK_ON = "ovs-vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true\n"
SPACE = """set -e
mount --bind "$1" /mnt
mount -t tmpfs tmpfs /run
mount -t hugetlbfs -o pagesize=2M nodev /dev/hugepages
[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
mkdir /run/desk
ln -s "$ROOT/build" "$ROOT/examples" /run/desk
truncate -s 1M /run/desk/disk.qcow2
ip link set lo up
echo ready
exec sleep 600"""


def sections(page):
    """Title of each section and its console blocks."""
    with open(os.path.join(bed.ROOT, page), encoding="utf-8") as file:
        lines = file.read().split("\n")
    title, block, indent, found = "", None, "", []
    for line, following in zip(lines, lines[1:] + [""]):
        heading = re.match(r"#+ (.*)", line) if page.endswith(".md") and block is None else None
        if heading or (line and re.fullmatch(r"([=~-])\1+", following)):
            title, block = heading.group(1) if heading else line, None
            found.append((title, []))
        elif re.fullmatch(r"( *\.\. code-block:: |```)console", line):
            block = []
            indent = "" if line[0] == "`" else re.match(" *", line).group() + "   "
            found[-1][1].append(block)
        elif block is not None and (line == "```" or (line and not line.startswith(indent))):
            block = None
        elif block is not None and line:
            block.append(line[len(indent):])
    return [(title, blocks) for title, blocks in found if blocks]


def commands(block):
    """Lines of a block, those that are continued put together."""
    return re.sub(r"\\\n\s*", "", "\n".join(block)).split("\n")


class Console(bed.Console, bed.Process):
    """A testpmd that a page starts."""


class Screen(bed.Process):
    """Pktgen, which draws around its prompt."""

    def prompts_seen(self):
        return self.log().count(PKTGEN_PROMPT)


class Section:
    """Namespaces of a section and the programs that run in them."""

    def __init__(self):
        bin_dir = path("bin")
        os.makedirs(bin_dir, exist_ok=True)
        for name, text in WRAPPERS.items():
            with open(os.path.join(bin_dir, name), "w", encoding="utf-8") as file:
                file.write("#!/bin/bash\n%s\n" % text)
            os.chmod(file.name, 0o755)
        self.env = dict(os.environ, PATH="/mnt:" + os.environ["PATH"], ROOT=bed.ROOT,
                        PLUGIN=os.path.realpath(bed.PLUGIN))
        self.count, self.staying, self.ovs = 0, [], False
        self.space = bed.Process("docs", ["unshare", "-mnp", "--fork", "--kill-child",
                                          "--mount-proc", "bash", "-c", SPACE, "bash", bin_dir],
                                 env=self.env)
        bed.wait_for("namespaces", lambda: "ready" in self.space.log(), 10)
        with open("/proc/%d/task/%d/children" % ((self.space.pid,) * 2)) as children:
            self.pid = children.read().split()[0]

    def there(self, name):
        return os.path.exists("/proc/%s/root%s" % (self.pid, name))

    def inside(self, text):
        return ["nsenter", "-t", self.pid, "-m", "-n", "-p", "--", "bash", "-c",
                "cd /run/desk && " + text]

    def run(self, text):
        if text.startswith("ovs-") and not self.ovs:
            self.ovs = True
            # where the section does not begin with switching DPDK on, it is on
            self.run(OVS + ("" if self.restarts else DPDK_ON) +
                     "systemctl restart openvswitch-switch")
        self.count += 1
        name = "docs-%d" % self.count
        with open(path(name + ".log"), "w") as log:
            try:
                status = subprocess.run(self.inside(text), stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=subprocess.STDOUT, timeout=60, env=self.env,
                                        check=False).returncode
            except subprocess.TimeoutExpired:
                status = "no end within 60 s"
        with open(path(name + ".log"), errors="replace") as log:
            said = log.read()
        check(status == 0, "'%s': %s: %s" % (text[:60], status, said.strip()[-200:]))
        return said

    def stay(self, text):
        self.count += 1
        what = os.path.basename(text.split()[0])
        program = {TESTPMD: Console, PKTGEN: Screen}.get(what, bed.Process)(
            "docs-%d" % self.count, self.inside("exec " + text), stdin=subprocess.PIPE,
            env=self.env)
        self.staying.append(program)
        program.what = what
        if what in PROMPTS:
            program.prompts = 0
            self.prompt(program)
        elif what == RELAY:
            bed.wait_for("sockets of l2relay", lambda: not program.alive() or all(
                self.there(name) for name in re.findall(r"iface=([^,\s]+)", text)), 30)
        else:
            time.sleep(1)
        check(program.alive(), "'%s': %s" % (text[:60], program.last_line()))

    def prompt(self, program):
        program.prompts += 1
        bed.wait_for("prompt of " + program.what, lambda: not program.alive() or
                     program.prompts_seen() >= program.prompts, 30)

    def type(self, what, line):
        """Into the testpmd started last, or pktgen."""
        program = [program for program in self.staying if program.what == what][-1]
        program.child.stdin.write((line + "\n").encode())
        program.child.stdin.flush()
        if line == "quit":
            self.leave(program)
        else:
            self.prompt(program)

    def leave(self, program):
        """A testpmd or pktgen ends well and did not complain of anything."""
        program.child.wait(20)
        self.staying.remove(program)
        complaint = COMPLAINT.search(program.log())
        status = program.end()
        check(complaint is None, "%s: %s" % (program.what, complaint and complaint.group()))
        check(status == 0, "%s ended with status %d: %s" % (program.what, status,
                                                            program.last_line()))

    def interrupt(self, program):
        """What Ctrl-C does to a relay: it prints its counters and ends well."""
        with open("/proc/%d/task/%d/children" % ((program.pid,) * 2)) as children:
            os.kill(int(children.read().split()[0]), signal.SIGINT)
        program.child.wait(20)
        self.staying.remove(program)
        said = program.log()
        status = program.end()
        check(status == 0, "l2relay ended with status %d: %s" % (status, program.last_line()))
        check(re.search("^port 1 to 0: received ", said, re.M), "l2relay printed no counters")

    def play(self, blocks):
        lines = [line for block in blocks for line in commands(block)]
        self.restarts = any("systemctl" in line for line in lines)
        for line in lines:
            what = [what for what, prompt in PROMPTS.items() if line.startswith(prompt)]
            if what:
                self.type(what[0], line[len(PROMPTS[what[0]]):])
            elif line.startswith(STAY):
                self.stay(line)
            elif not line.startswith(NOT_TYPED):
                self.run(line)
        kinds = {program.what for program in self.staying}
        if QEMU in kinds and len(kinds) > 1:
            bed.wait_for("connection of QEMU", lambda: '"connected": 1' in self.run(
                "echo /net_vring/status,0 | dpdk-telemetry.py"), 10, 0.2)
        if self.ovs:
            self.ports_of_switch()
        # front-ends first: net_virtio_user may end its process when its back-end is gone
        for program in list(reversed(self.staying)):
            if program.what in PROMPTS:
                self.quit(program)
            elif program.what == RELAY:
                self.interrupt(program)

    def ports_of_switch(self):
        """The switch has taken each port that a section leaves there."""
        listed = self.run("ovs-vsctl --format=csv --no-headings --columns=name,ofport,error "
                          "find Interface type=dpdk").strip()
        check(listed, "the switch has no port of type=dpdk")
        for line in listed.split("\n"):
            check(re.fullmatch(r'\w+,\d+,(\[\]|"")', line), "the switch says " + line)

    def quit(self, program):
        program.child.stdin.write(b"quit\n")
        program.child.stdin.flush()
        self.leave(program)

    def close(self):
        subprocess.run(["kill", "-9", self.pid], check=False)
        self.space.end()
        for program in self.staying:
            program.end()


def type_section(blocks):
    section = Section()
    try:
        section.play(blocks)
    finally:
        section.close()


def shown(argument, more):
    """Extended statistics of a port, and fields of its status."""
    port = bed.Testpmd("counters", [bed.vdev(0, argument + path("counters.sock") + more)],
                       memory=64, eal=["--single-file-segments"])
    try:
        names = {name for name in port.xstats(0) if re.match(r"session_|[rt]x_q\d", name)}
        return names, set(port.telemetry("/net_vring/status,0"))
    finally:
        port.quit()


def check_docs():
    """devtools/check-docs, which reads tables of pages."""
    loader = importlib.machinery.SourceFileLoader("check_docs",
                                                  os.path.join(bed.ROOT, "devtools/check-docs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def counters():
    """The guide's table of extended statistics names what ports of either role have, and the page
    of advice these and what their status shows."""
    module = check_docs()
    documented = {row[0].strip("`").replace("qN", "q0")
                  for row in module.table("Extended statistics")}
    advised = {name.replace("qN", "q0") for name in module.advised()}
    ends = [shown("iface=", ",iommu-support=1"), shown("path=", ",dirty-log=1")]
    has = ends[0][0] | ends[1][0]
    check(has == documented, "the guide and ports differ in: " + ", ".join(
        sorted(has ^ documented)))
    has |= ends[0][1] | ends[1][1]
    # what devices of the kernel have
    check(advised - has == {"device", "backend_features", "interface"} and not has - advised,
          "the advice and ports differ in: " + ", ".join(sorted(has ^ advised)))


def all_pages():
    """Each page for users that has something to type is typed."""
    pages = ["README.md"] + [
        os.path.relpath(file, bed.ROOT) for folder in ("nics", "howto")
        for file in glob.glob(os.path.join(bed.ROOT, "doc/guides", folder, "*.rst"))]
    missing = [page for page in pages if sections(page)
               and page not in ELSEWHERE + tuple(PAGES.values())]
    check(not missing, "nobody types " + ", ".join(missing))


def run(report):
    report.case("counters", counters)
    report.case("all-pages", all_pages)
    for name, page in PAGES.items():
        for title, blocks in sections(page):
            typed = [line for block in blocks for line in commands(block)
                     if not line.startswith(NOT_TYPED)]
            if typed:
                slug = re.sub(r"\W+", "-", title.lower()).strip("-")
                report.case("%s-%s" % (name, slug), type_section, blocks)
