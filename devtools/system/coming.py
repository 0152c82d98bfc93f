# SPDX-License-Identifier: BSD-3-Clause
"""The guide's tables for those who come from other drivers: each argument of such a driver is in
its table, and a port starts with what the table says to give instead."""

import glob
import json
import re
import subprocess

import bed
import devargs
import docs
from bed import check, path

GUIDE = "doc/guides/nics/vring.rst"
KERNEL = "doc/guides/howto/exceptional_path.rst"
HEADING = "Coming from %s"
OVS = "Coming from dpdkvhostuserclient and dpdkvhostuser"
VALUES = {"iface": "SOCK", "path": "SOCK", "queues": "2", "queue_size": "512", "speed": "25000",
          "mac": "02:00:00:00:00:01"}
# arguments of net_virtio_user that its table for sockets leaves to the one for the kernel
OF_KERNEL = {"iface"}
# of net_vhost, which dpdk-pmdinfo.py does not show
UNTOLD = {"net_vhost": {"legacy-ol-flags"}}


def keys_of(driver, files="/usr/lib/*/dpdk/pmds-*/librte_net_v*.so"):
    """Arguments of a driver, of DPDK's own if nothing else is said, as dpdk-pmdinfo.py shows
    them."""
    for file in glob.glob(files):
        said = subprocess.run(["dpdk-pmdinfo.py", file], check=True, stdout=subprocess.PIPE).stdout
        for shown in json.loads(said or "[]"):
            if shown["name"] == driver:
                return set(re.findall(r"([\w-]+)=", shown["params"])) | UNTOLD.get(driver, set())
    raise bed.Failure("dpdk-pmdinfo.py knows no " + driver)


def rows(page, heading):
    return docs.check_docs().table_below(page, heading)


def literals(cell):
    return re.findall(r"``([^`]+)``", cell)


def starts(host, options):
    """A port with these arguments is taken, starts and goes."""
    host.accept(options.replace("SOCK", path("coming")))
    try:
        said = host.testpmd.cmd("port start 1")
        check("Done" in said and not re.search("[Ff]ail", said), "does not start: " + said)
    finally:
        host.detach()


def said_of(table):
    """What the second column says of each word between quotes in the first one."""
    return {key: row[1] for row in table for text in literals(row[0])
            for key in re.findall(r"[\w-]+", text.split("=/")[0])}


def instead(key, cell):
    """Arguments to give in place of another driver's: the same, those between quotes, or none."""
    given = [text for text in literals(cell) if re.fullmatch(r"[\w-]+=[\w:/-]+", text)]
    if cell.startswith("the same"):
        given.insert(0, "%s=%s" % (key, VALUES.get(key, "1")))
    return given


def complete(driver, table):
    """Each argument of the driver is named there, with arguments that the port has, or the row
    says that it has none."""
    ours, told = keys_of("net_vring", bed.PLUGIN), said_of(table)
    check(ours, "net_vring has no arguments")
    missing = keys_of(driver) - set(told)
    check(not missing, "not in the table: " + ", ".join(sorted(missing)))
    for key in sorted(keys_of(driver)):
        given = {text.split("=")[0] for text in instead(key, told[key])}
        check(given <= ours, "%s: the port has no %s" % (key, ", ".join(sorted(given - ours))))
        none = told[key].startswith("Not there")
        check(given or none, "%s: nothing to give instead: %s" % (key, told[key]))
        check(not none or key not in ours, key + ": the port has it")


def from_driver(report, host, driver, first):
    table = rows(GUIDE, HEADING % driver)
    report.case(driver, complete, driver, table)
    told = said_of(table)
    for key in sorted(keys_of(driver) - {first} - (OF_KERNEL if first == "path" else set())):
        for i, given in enumerate(instead(key, told.get(key, ""))):
            name = key if not i else re.sub(r"\W+", "-", given)
            report.case("%s-%s" % (driver, name), starts, host, "%s=SOCK,%s" % (first, given))


def from_ovs(report, host):
    """What its rows have between quotes for the arguments of a port."""
    count = 0
    for row in rows(GUIDE, OVS):
        for text in literals(row[1]):
            options = re.sub("^options:dpdk-devargs=net_vringN,", "", text)
            if "=" not in options or options.startswith("options:"):
                continue
            options = options.replace("PATH", "SOCK")
            if options.endswith("="):
                options += VALUES.get(options[:-1], "0")
            if "iface=" not in options:
                options = "iface=SOCK," + options
            count += 1
            report.case("ovs-" + re.sub(r"\W+", "-", options), starts, host, options)
    report.case("ovs", lambda: check(count >= 6, "%d rows have arguments" % count))


def kernel_rows():
    """Of the table for ports into the kernel: arguments there, and those to give instead."""
    found = [[literals(cell)[0] for cell in row[:2]] for row in rows(
        KERNEL, HEADING % "net_virtio_user")]
    keys = [theirs.split("=")[0] for theirs, _ in found]
    check(sorted(keys) == sorted(keys_of("net_virtio_user")), "the table has %s" % keys)
    return found


def run(report):
    host = devargs.Host()
    try:
        from_driver(report, host, "net_vhost", "iface")
        from_driver(report, host, "net_virtio_user", "path")
        from_ovs(report, host)
    finally:
        host.testpmd.quit()
