# SPDX-License-Identifier: BSD-3-Clause
"""Trace points of the control path, written by DPDK and read by babeltrace."""

import os
import re
import shutil
import signal
import subprocess
import time

import bed
import stall
from bed import check, path

POINT = re.compile(r"pmd\.net\.vring\.([a-z.]+): .*?\}, \{(.*)\}$")
NAMES = {"connect", "disconnect", "features", "memory", "ring.start", "ring.stop", "link",
         "stall.begin", "stall.end"}


def testpmd(name, device, folder, pattern="pmd.net.vring.*"):
    return bed.Testpmd(name, [device], memory=64, cpu=len(folder) % 2,
                       eal=["--single-file-segments", "--trace=" + pattern,
                            "--trace-dir=" + folder])


def fields_of(text):
    """Numbers and texts, by name."""
    found = {}
    for name, quoted, number in re.findall(r'(\w+) = (?:"([^"]*)"|(\w+))', text):
        found[name] = int(number, 0) if number else quoted
    return found


def points(folder):
    """What was traced, as (name, fields), in the order of time."""
    found = []
    done = subprocess.run(["babeltrace", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    check(done.returncode == 0, "babeltrace: %s" % done.stderr.strip())
    for line in done.stdout.splitlines():
        match = POINT.search(line)
        check(match, "babeltrace says " + line)
        found.append((match.group(1), fields_of(match.group(2))))
    return found


def of_name(found, name):
    return [fields for point, fields in found if point == name]


def one_connection(options):
    """A front-end comes, is stopped under load, goes on and leaves; both ends are traced."""
    folders = {end: path("trace-" + end) for end in ("be", "fe")}
    sock = path("st")
    ends = {}
    try:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
            os.mkdir(folder)
        ends["be"] = testpmd("be", "net_vring0,iface=%s" % sock, folders["be"])
        ends["fe"] = testpmd("fe", "net_vring0,path=%s%s" % (sock, options), folders["fe"])
        for end in ends.values():
            end.wait_link(0)
        ends["fe"].cmd("set fwd rxonly")
        ends["fe"].cmd("start")
        ends["be"].cmd("set fwd txonly")
        ends["be"].cmd("start")
        ends["fe"].child.send_signal(signal.SIGSTOP)
        bed.wait_for("a stall", lambda: stall.status(ends["be"], "stalled_ms") > 0, 10)
        ends["fe"].child.send_signal(signal.SIGCONT)
        bed.wait_for("its end", lambda: stall.status(ends["be"], "stalled_ms") == 0, 10)
        ends["be"].cmd("stop")
        status = ends["be"].telemetry("/net_vring/status,0")
        ends["fe"].quit()
        bed.wait_for("the end", lambda: not stall.status(ends["be"], "connected"), 5)
        ends["be"].quit()
    finally:
        for end in ends.values():
            end.quit()
    back, front = points(folders["be"]), points(folders["fe"])
    check({name for name, _ in back} == NAMES, "traced: %s" % sorted({n for n, _ in back}))
    check({name for name, _ in front} >= {"connect", "features", "memory", "ring.start", "link"},
          "traced: %s" % sorted({n for n, _ in front}))
    check(of_name(back, "connect") == [{"port_id": 0, "connects": 1}], "connect: %s"
          % of_name(back, "connect"))
    why = of_name(back, "disconnect")[0]["why"]
    check(why == "peer closed the connection", "disconnect: " + why)
    for name, shown in ("device", "features"), ("protocol", "protocol_features"):
        bits = [fields[name] for fields in of_name(back, "features")]
        check(int(status[shown], 16) in bits and bits[-1] == 0, "features: %s" % bits)
    regions = [fields["regions"] for fields in of_name(back, "memory")]
    check(max(regions) == status["memory_regions"] > 0 and regions[-1] == 0,
          "memory: %s" % regions)
    starts = of_name(back, "ring.start")
    check({fields["vring"] for fields in starts} == {0, 1} and
          {fields["packed"] for fields in starts} == {int(options != "")}
          and 1 in {fields["enabled"] for fields in starts}, "ring.start: %s" % starts)
    begin, end = of_name(back, "stall.begin"), of_name(back, "stall.end")
    check([fields["tx"] for fields in begin] == [1] == [fields["tx"] for fields in end],
          "stalls: %s, %s" % (begin, end))
    check(1000 <= begin[0]["ms"] <= end[0]["ms"], "stalls: %s, %s" % (begin, end))
    check([fields["up"] for fields in of_name(back, "link")] == [1, 0], "link: %s"
          % of_name(back, "link"))


def off():
    """Without --trace nothing is written."""
    folder = path("trace-off")
    os.mkdir(folder)
    port = testpmd("port", "net_vring0,iface=" + path("so"), folder, "no.such.point")
    time.sleep(0.2)
    port.quit()
    written = [file for _, _, files in os.walk(folder) for file in files if file != "metadata"]
    check(not written, "written: %s" % written)


def run(report):
    report.case("split", one_connection, "")
    report.case("packed", one_connection, ",packed_vq=1")
    report.case("off", off)
