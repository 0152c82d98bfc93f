# SPDX-License-Identifier: BSD-3-Clause
"""Installed packages, for devtools/package: the driver in the applications that the distribution
has, found by themselves, and the programs. Nothing here is from a build directory.
"""

import re
import subprocess

import bed
import ovs
import perf
import probe
from bed import check, path


def run_tool(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False)
    check(done.returncode == 0, "%s: status %d, %s" % (" ".join(argv), done.returncode,
                                                       done.stdout[-200:]))
    return done.stdout


def port(sock):
    """testpmd opens a port, and vring-probe says what is behind its socket."""
    testpmd = bed.Testpmd("be", [bed.vdev(0, "iface=%s,queues=2" % sock)])
    try:
        check("Driver name: net_vring" in testpmd.cmd("show port info 0"), "no port of net_vring")
        probe.describes(sock, "net_vring")
    finally:
        testpmd.quit()


def version():
    wanted = run_tool("dpkg-query", "-W", "-f", "${Version}", "net-vring-tools")
    said = run_tool("vring-perf", "--version").strip()
    check(said == "vring-perf " + wanted, "says %s, not %s" % (said, wanted))


def manual(program):
    """The manual page has the options of the program."""
    page = run_tool("man", program)
    options = set(re.findall(r"--[a-z-]+", run_tool(program, "--help")))
    check(options, "no options")
    missing = options - set(re.findall(r"--[a-z-]+", page))
    check(not missing, "the manual page lacks " + ", ".join(sorted(missing)))


def run(report):
    check(not bed.PLUGIN, "PLUGIN is to be empty")
    report.case("testpmd", port, path("port"))
    report.case("vring-perf", perf.measured, "--measure", "net_vring", "--path", "rx",
                plugin=False)
    report.case("version", version)
    for program in ("vring-perf", "vring-probe"):
        report.case(program + "-manual", manual, program)
    ovs.run(report)
