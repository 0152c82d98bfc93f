# SPDX-License-Identifier: BSD-3-Clause
"""vring-probe: what it says of each kind of peer, and of what is none."""

import json
import os
import re
import socket
import subprocess

import bed
from bed import check, path

PROGRAM = bed.program("vring-probe")
FOUND, NOTHING, USAGE, IN_USE, NO_TRAFFIC = range(5)


def probe(*arguments):
    """Exit status, output, what was said on stderr."""
    done = subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def fails(status, pattern, *arguments):
    """With this status, no output, and one line that names the path and says why."""
    code, out, err = probe(*arguments)
    said = err.strip()
    check(code == status, "ended with status %d, not %d: %s" % (code, status, said))
    check(not out, "prints " + out)
    check(said.count("\n") == 0, "more than one line: " + said)
    check(arguments[-1] in said and re.search(pattern, said), "says " + said)


def agree(text, found):
    """What the lines say is what the JSON object says."""
    lines = dict(re.findall(r"^(\w[^:\n]*): (.*)$", text, re.M))
    for key, value in lines.items():
        key = re.sub("[ -]", "_", key)
        check(key in found, "no %s in the JSON object" % key)
        shown = found[key]
        shown = " ".join(map(str, shown)) if isinstance(shown, list) else str(shown)
        check(shown == value, "%s is '%s' in one form, '%s' in the other" % (key, value, shown))


def describes(sock, driver):
    code, text, err = probe(sock)
    check(code == FOUND and not err, "status %d, %s" % (code, err))
    code, out, err = probe("--json", sock)
    check(code == FOUND and not err, "status %d with --json, %s" % (code, err))
    found = json.loads(out)
    agree(text, found)
    check("back-end" in found["role"], "role: " + found["role"])
    for names, wanted in (("features_names", ("VIRTIO_F_VERSION_1", "VIRTIO_F_RING_PACKED",
                                              "VIRTIO_NET_F_MQ", "VIRTIO_NET_F_MRG_RXBUF")),
                          ("protocol_features_names", ("VHOST_USER_PROTOCOL_F_MQ",
                                                       "VHOST_USER_PROTOCOL_F_REPLY_ACK"))):
        for name in wanted:
            check(name in found[names], "no %s in %s" % (name, names))
            check(name in text, "no %s in the lines" % name)
    # net_vring says how many rings it has, so that who counts those finds enough, and serves as
    # many pairs; DPDK's net_vhost says how many its library could serve
    check(found["queue_pairs"] == 5 if driver == "net_vring" else found["queue_pairs"] >= 2,
          "%s queue pairs" % found["queue_pairs"])


def traffic(back, sock):
    back.cmd("stop")
    code, _, err = probe("--traffic", sock)
    check(code == NO_TRAFFIC, "status %d where nobody forwards" % code)
    check(sock in err and err.strip().count("\n") == 0, "says " + err)
    back.cmd("start")
    for options in (["--traffic"], ["--json", "--traffic"]):
        code, out, err = probe(*options, sock)
        check(code == FOUND and not err, "status %d, %s" % (code, err))
    found = json.loads(out)
    check(found["packets_sent"] == found["packets_returned"] > 0,
          "%d of %d packets came back" % (found["packets_returned"], found["packets_sent"]))


def in_use(back, sock):
    """Whoever uses the port goes on undisturbed."""
    front = bed.Testpmd("user", ["net_virtio_user0,path=" + sock], memory=64, cpu=1, plugin=False,
                        eal=["--single-file-segments"], args=["--forward-mode=flowgen"])
    try:
        front.wait_link(0)
        back.wait_link(0)
        fails(IN_USE, r"another|busy|in use", sock)
        front.cmd("start")

        def received():
            return front.telemetry("/ethdev/stats,0")["ipackets"]
        before = received()
        bed.wait_for("traffic", lambda: received() > before + 64, 5)
        front.cmd("stop")
        check(front.link_up(0) and back.link_up(0), "the link is down")
    finally:
        front.quit()


def peer(report, driver):
    sock = path(driver)
    back = bed.Testpmd("back", ["%s0,iface=%s,queues=2" % (driver, sock)], memory=64,
                       args=["--rxq=2", "--txq=2", "--auto-start"])
    try:
        report.case(driver[4:] + "-described", describes, sock, driver)
        report.case(driver[4:] + "-traffic", traffic, back, sock)
        if driver == "net_vring":
            report.case(driver[4:] + "-in-use", in_use, back, sock)
        # after all that the port serves whoever comes
        report.case(driver[4:] + "-described-again", describes, sock, driver)
    finally:
        back.quit()


def dead_socket():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("dead"))
    fails(NOTHING, r"listen|left", path("dead"))


def silent_socket():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path("silent"))
        listener.listen(1)
        fails(IN_USE, r"no answer", "--timeout", "300", path("silent"))


def regular_file():
    with open(path("file"), "w") as file:
        file.write("precious")
    fails(NOTHING, r"regular file", path("file"))
    with open(path("file")) as file:
        check(file.read() == "precious", "the file was altered")
    code, out, _ = probe("--json", path("file"))
    check(code == NOTHING and "error" in json.loads(out), "status %d, %s" % (code, out))


def nothing_else():
    fails(NOTHING, r"directory", bed.RUN)
    fails(NOTHING, r"(?i)no such", path("none"))
    fails(NOTHING, r"not a vhost-vdpa", "/dev/null")


def usage():
    for arguments in ([], ["--bogus", "/x"], ["/x", "/y"], ["--timeout", "0", "/x"]):
        code, out, err = probe(*arguments)
        check(code == USAGE and err and not out, "%s: status %d" % (arguments, code))


def run(report):
    check(os.path.exists(PROGRAM), "no %s: devtools/build makes it" % PROGRAM)
    for driver in ("net_vhost", "net_vring"):
        peer(report, driver)
    for function in (dead_socket, silent_socket, regular_file, nothing_else, usage):
        report.case(function.__name__.replace("_", "-"), function)
