# SPDX-License-Identifier: BSD-3-Clause
"""Runs the groups of system cases: main.py [FILTER | --beside | --alone]

FILTER selects the groups whose name contains it, or else, in all groups, the cases whose name
contains it; GROUP/PART selects cases of a group. Cases that need the same set-up share one, so a
filter that is not the name of a group may set up what it then makes no use of.

Without a filter all groups run: --beside those that bear other work beside them, LANES of the
environment at a time, and then --alone those that measure how long something takes or how much is
done in a time.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../guest"))

import bed  # noqa: E402
import bell  # noqa: E402
import bother  # noqa: E402
import calls  # noqa: E402
import coming  # noqa: E402
import devargs  # noqa: E402
import docs  # noqa: E402
import dts  # noqa: E402
import front  # noqa: E402
import guests  # noqa: E402
import in_flight  # noqa: E402
import interrupts  # noqa: E402
import kill  # noqa: E402
import l2relay  # noqa: E402
import long  # noqa: E402
import matrix  # noqa: E402
import memory  # noqa: E402
import iommu  # noqa: E402
import migrate  # noqa: E402
import migrate_dpdk  # noqa: E402
import move  # noqa: E402
import numa  # noqa: E402
import ovs  # noqa: E402
import ovs_vms  # noqa: E402
import packaged  # noqa: E402
import perf  # noqa: E402
import pktgen  # noqa: E402
import probe  # noqa: E402
import reach  # noqa: E402
import scripts  # noqa: E402
import secondary  # noqa: E402
import stall  # noqa: E402
import surface  # noqa: E402
import tap  # noqa: E402
import traces  # noqa: E402
import uml  # noqa: E402
import vdpa  # noqa: E402
import vhost_net  # noqa: E402

GROUPS = {
    "matrix": matrix.run,
    "front": front.run,
    "fe-bell": bell.run,
    "fe-vdpa": vdpa.run,
    "fe-vhost-net": vhost_net.run,
    "numa": numa.run,
    "fe-kill": kill.run,
    "fe-kill-fast": kill.fast,
    "fe-scripts": scripts.run,
    "fe-memory": memory.run,
    "in-flight": in_flight.run,
    "interrupts": interrupts.run,
    "interrupt-latency": interrupts.measured,
    "calls": calls.run,
    "probe": probe.run,
    "perf": perf.run,
    "pktgen": pktgen.run,
    "l2relay": l2relay.run,
    "tap": tap.run,
    "uml": uml.run,
    "agent": guests.agent,
    "guests-qemu7": guests.run7,
    "guests-qemu10": guests.run10,
    "queues-qemu10": guests.queues10,
    "queues-qemu7": guests.queues7,
    "restart-qemu10": guests.restart,
    "restart-qemu7": guests.restart7,
    "move": move.run,
    "iommu": iommu.run,
    "migrate": migrate.run,
    "migrate-dpdk": migrate_dpdk.run,
    "bother": bother.run,
    "remap": guests.remap,
    "ovs": ovs.run,
    "ovs-vms": ovs_vms.run,
    "ovs-life": ovs_vms.life,
    "devargs": devargs.run,
    "coming": coming.run,
    "docs": docs.run,
    "dts": dts.run,
    "surface": surface.run,
    "secondary": secondary.run,
    "stall": stall.run,
    "trace": traces.run,
}
# each by its name alone: those take hours, reach is a little of the others for devtools/reach, and
# packaged is for devtools/package
LONG = {
    "reach": reach.run,
    "packaged": packaged.run,
    "long-migrate": long.run_moves,
    "long-kill": long.run_kills,
    "long-restart": long.run_guest_kills,
}
# with limits of a second or two, or rates that are compared
ALONE = ("fe-kill-fast", "interrupt-latency", "calls", "perf", "bother", "ovs-vms",
         "restart-qemu10", "restart-qemu7")
# the longest, which begin first; of those with emulated processors one beside one without
FIRST = ("fe-vdpa", "front", "fe-vhost-net", "matrix", "dts", "guests-qemu10", "guests-qemu7",
         "remap")
LANES = int(os.environ.get("LANES", 1))  # groups at a time
# the status that says that no case has FILTER in its name
NO_CASE = 5
LOGS = os.path.join(bed.ROOT, "build/system-logs")


class Report:
    """Runs cases and prints one line for each."""

    def __init__(self, group, part):
        self.group, self.part = group, part
        self.failed = self.count = 0

    def case(self, name, function, *args, **options):
        """Run one case; True when it passed."""
        if self.part not in name:
            return True
        began = time.monotonic()
        reason = None
        try:
            function(*args, **options)
        except bed.Failure as failure:
            reason = str(failure)
        except Exception as error:  # pylint: disable=broad-except
            reason = "%s: %s" % (type(error).__name__, error)
        self.count += 1
        full = "%s/%s" % (self.group, name)
        if reason is None:
            print("ok " + full, flush=True)
        else:
            self.failed += 1
            print("not ok %s - %s" % (full, " ".join(reason.split())), flush=True)
            keep_logs(full)
        if os.environ.get("TIMES"):
            print("# %s: %.1f s" % (full, time.monotonic() - began), flush=True)
        return reason is None

    def leave_out(self, why):
        """Say that what is selected of the group cannot be run on this machine."""
        self.count += 1
        print("# %s: left out: %s" % (self.group, why), flush=True)


def keep_logs(name):
    """Put aside what the processes of a failed case said."""
    target = os.path.join(LOGS, name.replace("/", "."))
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for file in os.listdir(bed.RUN):
        if file.endswith((".log", ".console")):
            shutil.copy(os.path.join(bed.RUN, file), target)


def processors_s():
    """Seconds of processors that children took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_group(name, part):
    """Run a group's cases with this part in their name: how many ran, or were left out aloud, and
    how many failed."""
    report = Report(name, part)
    began, used = time.monotonic(), processors_s()
    try:
        (GROUPS.get(name) or LONG[name])(report)
    except Exception as error:  # pylint: disable=broad-except
        report.failed += 1
        reason = str(error) if isinstance(error, bed.Failure) else repr(error)
        print("not ok %s - %s" % (name, " ".join(reason.split())), flush=True)
        keep_logs(name)
    finally:
        bed.stop_all()
    if os.environ.get("TIMES"):
        print("# group %s: %.1f s, of processors %.1f s" % (
            name, time.monotonic() - began, processors_s() - used), flush=True)
    return report.count, report.failed


def filtered(text):
    """Run what a filter selects."""
    group_part, _, case_part = text.partition("/")
    chosen = [name for name in GROUPS if group_part in name]
    if group_part in LONG:
        chosen = [group_part]
    if not chosen:
        chosen, case_part = list(GROUPS), group_part
    count, failed = map(sum, zip(*(run_group(name, case_part) for name in chosen)))
    if not count and not failed and text not in GROUPS:
        print("no system case has '%s' in its name; groups are %s" % (
            text, ", ".join(list(GROUPS) + list(LONG))), file=sys.stderr)
        return NO_CASE
    return 1 if failed else 0


def side_by_side(names, lanes):
    """Run groups in processes of their own, so many at a time; the worst status."""
    waiting, running, worst = list(names), {}, 0
    try:
        while waiting or running:
            while waiting and len(running) < lanes:
                name = waiting.pop(0)
                running[name] = subprocess.Popen(
                    [sys.executable, "-B", os.path.abspath(__file__), "--group", name],
                    preexec_fn=lambda: bed.die_with_parent(signal.SIGTERM))
            time.sleep(0.05)
            for name, child in list(running.items()):
                status = child.poll()
                if status is None:
                    continue
                del running[name]
                if status not in (0, 1):
                    print("not ok %s - its process ended with status %d" % (name, status),
                          flush=True)
                worst = max(worst, abs(status))
    finally:
        for child in running.values():
            child.terminate()
        for child in running.values():
            child.wait()
    return min(worst, 1)


def beside():
    os.environ.setdefault("PATIENCE", "4")
    return side_by_side(FIRST + tuple(name for name in GROUPS if name not in ALONE + FIRST), LANES)


def alone():
    return side_by_side(ALONE, 1)


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--group"]:
        return 1 if run_group(arguments[1], "")[1] else 0
    if arguments == ["--beside"]:
        return beside()
    if arguments == ["--alone"]:
        return alone()
    if arguments and arguments[0]:
        return filtered(arguments[0])
    return max(beside(), alone())


sys.exit(main())
