# SPDX-License-Identifier: BSD-3-Clause
"""vring-perf: each mode once, with tiny slices; what it prints is well-formed and of one mind.

How fast anything was is no criterion here.
"""

import csv
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree

import bed
from bed import check, path

PROGRAM = bed.program("vring-perf")
TINY = ("--rounds", "1", "--slice", "20")
PATHS = ("rx", "tx", "fwd", "vm", "latency")
PERCENTILES = ("p50_ns", "p90_ns", "p99_ns", "p99_9_ns")
QUANTILES = ("cycles_p10", "cycles", "cycles_p90", "cycles_p99")
COUNTS = ("received", "sent", "offered")


def perf(*arguments, plugin=True, **options):
    """Exit status, output, what was said on stderr."""
    argv = [PROGRAM, *(("--plugin", os.path.realpath(bed.PLUGIN)) if plugin else ()), *arguments]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def works(*arguments, **options):
    code, out, err = perf(*arguments, *TINY, **options)
    check(code == 0, "status %d: %s" % (code, err[-200:]))
    return out, err


def measured(*arguments, **options):
    """The JSON object of a run, looked over."""
    found = json.loads(works(*arguments, "--json", **options)[0])
    look_over(found)
    return found


def rising(figures, names, where):
    values = [figures[name] for name in names]
    check(values == sorted(values), "%s: %s are %s" % (where, ", ".join(names), values))


def look_over(found):
    """What holds for all figures, whatever the machine does meanwhile.

    An end that does not get its core for all of a slice moves nothing in it.
    """
    check(found["lines"], "no line")
    for line in found["lines"]:
        where = "%(layout)s %(path)s %(size)s" % line
        check(line["rounds_run"] == len(line["rounds"]) >= 1, where + ": number of rounds")
        check(line["rounds_counted"] == sum(one["counts"] for one in line["rounds"]),
              where + ": number of rounds that count")
        for one in line["rounds"]:
            check(len(one["pairs"]) == len(found["pairs"]), where + ": number of pairs")
            for figures in one["pairs"]:
                rising(figures, COUNTS, where)
                check(figures["distance_before"] > 0 and figures["distance_after"] > 0,
                      where + ": no round trip of a line")
                check(figures["empty_cycles"] > 0, where + ": no empty poll")
                if line["figure"] == "p50_ns":
                    rising(figures, PERCENTILES, where)
                elif figures["cycles"]:
                    rising(figures, QUANTILES, where)
                    check(0 <= figures["busy_percent"] <= 100, where + ": busy")
            if one["counts"] and len(one["pairs"]) == 2:
                a, b = (figures[line["figure"]] for figures in one["pairs"])
                check(abs(one["ratio"] - b / a) < 0.001, where + ": ratio")
    check(any(figures["received"] for line in found["lines"] for one in line["rounds"]
              for figures in one["pairs"]), "nothing was received")


def rows_agree(file, found):
    """A row of CSV for each round, with the same figures."""
    with open(file, newline="") as text:
        rows = list(csv.DictReader(text))
    rounds = [(line, one) for line in found["lines"] for one in line["rounds"]]
    check(len(rows) == len(rounds), "%d rows, %d rounds" % (len(rows), len(rounds)))
    for row, (line, one) in zip(rows, rounds):
        check(None not in row and None not in row.values(), "a row of another width")
        for key in ("layout", "path", "size"):
            check(row[key] == line[key], "%s: %s and %s" % (key, row[key], line[key]))
        for letter, figures in zip("ab", one["pairs"]):
            for name, value in figures.items():
                cell = row["%s_%s" % (name, letter)]
                check(abs(float(cell) - value) <= 1e-6 * abs(value),
                      "%s is %s and %s" % (name, cell, value))


def table_agrees(out, found):
    lines = [line for line in out.splitlines() if re.match("(split|packed) ", line)]
    check(len(lines) == len(found["lines"]), "%d lines in the table" % len(lines))
    for text, line in zip(lines, found["lines"]):
        words = text.split()
        check(words[:3] == [line["layout"], line["path"], line["size"]], "the table has " + text)
        check(text.endswith("%d of %d" % (line["rounds_counted"], line["rounds_run"])),
              "the table has " + text)
        if line["rounds_counted"]:
            median = line["pairs"][0][line["figure"]]["median"]
            shown = float(re.search(r"\| +([\d.]+)", text).group(1))
            check(abs(shown - median) <= 0.5, "%s and %s" % (text, median))


def chart_agrees(file, found):
    tree = xml.etree.ElementTree.parse(file).getroot()
    check(tree.tag == "{http://www.w3.org/2000/svg}svg", "the chart is a " + tree.tag)
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    bars = sum(1 if line["path"] == "latency" else 2 for line in found["lines"])
    pairs = len(found["pairs"])
    rects = len(list(tree.iter("{http://www.w3.org/2000/svg}rect")))
    check(rects == 1 + pairs + pairs * bars, "%d rectangles, %d bars" % (rects, bars))
    for pair in found["pairs"]:
        check(any(text.startswith("%s: %s" % (pair["name"], pair["backend"])) for text in texts),
              "no legend of " + pair["name"])


def compare():
    files = [path("perf." + kind) for kind in ("csv", "json", "svg")]
    out, err = works("--compare", "net_vring", "net_vhost", "--size", "64,imix", "--csv",
                     files[0], "--json", files[1], "--plot", files[2])
    with open(files[1]) as text:
        found = json.load(text)
    look_over(found)
    check([(line["layout"], line["size"], line["path"]) for line in found["lines"]] ==
          [(layout, size, name) for layout in ("split", "packed")
           for kind in (PATHS[:-1], PATHS[-1:]) for size in ("64", "imix") for name in kind],
          "lines are missing, or in disorder")
    check(any(line["rounds_counted"] for line in found["lines"]), "no round counts")
    rows_agree(files[0], found)
    table_agrees(out, found)
    chart_agrees(files[2], found)
    check(len(re.findall(r"^vring-perf: \d+ of 20, ", err, re.M)) == 20, "progress: " + err)


def compare_front():
    found = measured("--compare-front", "net_vring", "net_virtio_user", "--layout", "packed",
                     "--vectorized", "1", "--mrg", "0", "--in-order", "1")
    check([pair["frontend"] for pair in found["pairs"]] == ["net_vring", "net_virtio_user"] and
          {pair["backend"] for pair in found["pairs"]} == {"net_vhost"}, "pairs are others")
    check([line["path"] for line in found["lines"]] == list(PATHS), "paths are others")


def arguments_of_one_side():
    found = measured("--compare", "net_vring,csum=partial", "net_vring", "--a-args", "stats=0",
                     "--peer", "net_vring", "--offloads", "1", "--layout", "split",
                     "--path", "rx,fwd")
    check(found["pairs"][0]["args"] == "stats=0" and found["pairs"][1]["args"] is None, "args")


def many_polls():
    found = measured("--measure", "net_vring", "--queues", "2", "--idle-ports", "3", "--path",
                     "both,vm,latency", "--layout", "split", "--burst", "8", "--ring", "512")
    check(len(found["pairs"]) == 1 and "ratio" not in found["lines"][0], "one driver is enough")
    check(any(line["rounds"][0]["pairs"][0]["idle_cycles"] for line in found["lines"]),
          "no idle port was polled")


def bursts_over_the_ring():
    """What goes round is more than a ring takes, and goes round all the same."""
    found = measured("--measure", "net_vring", "--path", "fwd,vm", "--ring", "64", "--burst",
                     "128")
    for line in found["lines"]:
        check(line["rounds"][0]["pairs"][0]["received"], "%(layout)s %(path)s: nothing" % line)


def large_packets():
    found = measured("--measure", "net_vring", "--size", "1024,9000", "--path", "all",
                     "--layout", "packed")
    check([line["size"] for line in found["lines"]] == 4 * ["1024"] + 4 * ["9000"] +
          ["1024", "9000"], "sizes are others")


def between_guests():
    """In at one port and out at another, where A has buffers of the first guest until then."""
    found = measured("--compare", "net_vring,zero-copy=1", "net_vhost", "--path", "vm", "--size",
                     "1518")
    check([(line["layout"], line["path"], line["figure"]) for line in found["lines"]] ==
          [("split", "vm", "cycles"), ("packed", "vm", "cycles")], "lines are others")


def two_plugins():
    """Builds of the same driver side by side, which one process could not load."""
    other = path("librte_net_vring.so")
    shutil.copy(os.path.realpath(bed.PLUGIN), other)
    found = measured("--compare", "net_vring", "net_vring", "--a-plugin", other, "--path", "rx",
                     "--layout", "split")
    plugins = [pair["plugin"] for pair in found["pairs"]]
    check(plugins == [other, os.path.realpath(bed.PLUGIN)], "plugins are %s" % plugins)


def refused(pattern, *arguments, **options):
    """One line that says what to do, and no output."""
    code, out, err = perf(*arguments, **options)
    said = err.strip()
    check(code not in (0, 139) and not out, "status %d, prints %s" % (code, out))
    check(said.count("\n") == 0 and re.search(pattern, said), "says " + said)


def one_core():
    refused(r"two CPUs are needed.* 1", "--measure", "net_vring",
            preexec_fn=lambda: os.sched_setaffinity(0, bed.CPUS[:1]))


def no_hugepages():
    refused(r"hugepages.*: echo \d+ > /sys/", "--measure", "net_vring", "--size", "9000",
            "--ring", "32768", "--queues", "16")


def mistakes():
    refused("RTE_MAX_ETHPORTS", "--measure", "net_vring", "--idle-ports", "32")
    refused("30 at most.* vm", "--measure", "net_vring", "--idle-ports", "31", "--path", "vm")
    refused("no such option", "--bogus")
    refused("net_vhost can only be a back-end", "--compare-front", "net_vring", "net_vhost")
    refused("not installed.*--plugin", "--measure", "net_vring", plugin=False)
    refused("No such file", "--measure", "net_vring", "--plugin", path("none.so"), plugin=False)
    refused("No such file", "--measure", "net_vring", "--plot", path("none/chart.svg"))


def guide():
    """The guide's table of options and the program's own list have the same ones."""
    with open(os.path.join(bed.ROOT, "doc/guides/howto/vring_perf.rst")) as page:
        options = re.search(r"^Options\n-+\n(.*?)\n\n\n", page.read(), re.M | re.S).group(1)
    rows = "\n".join(re.findall(r"^   \* - (.*)$", options, re.M))
    code, out, err = perf("--help", plugin=False)
    check(code == 0 and not err, "status %d, %s" % (code, err))
    check(set(re.findall(r"--[a-z-]+", rows)) == set(re.findall(r"--[a-z-]+", out)),
          "options differ: %s" % " ".join(sorted(set(re.findall(r"--[a-z-]+", rows)) ^
                                                 set(re.findall(r"--[a-z-]+", out)))))


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
        return [int(child) for child in children.read().split()]


def interrupted():
    """No process, socket or directory stays."""
    program = bed.Process("perf", [PROGRAM, "--plugin", os.path.realpath(bed.PLUGIN), "--measure",
                                   "net_vring", "--rounds", "200"])
    bed.wait_for("start", lambda: "1 of " in program.log(), 20)
    workers = children_of(program.pid)
    check(len(workers) == 2, "%d workers" % len(workers))
    status = program.end(signal.SIGINT)
    check(status == 128 + signal.SIGINT, "status %d" % status)
    left = [pid for pid in workers if os.path.exists("/proc/%d" % pid)]
    left += glob.glob("/run/vperf%d.*" % program.pid)
    left += [name for pid in workers for name in glob.glob("/run/dpdk/vperf%d" % pid)]
    check(not left, "left behind: %s" % left)


def run(report):
    check(os.path.exists(PROGRAM), "no %s: devtools/build makes it" % PROGRAM)
    for function in (compare, compare_front, arguments_of_one_side, many_polls,
                     bursts_over_the_ring, large_packets, between_guests, two_plugins, one_core,
                     no_hugepages, mistakes, guide, interrupted):
        report.case(function.__name__.replace("_", "-"), function)
