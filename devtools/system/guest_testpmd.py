# SPDX-License-Identifier: BSD-3-Clause
"""Stock dpdk-testpmd in a guest of an image that has it (devtools/guest/vdpa-image)."""

import base64
import shlex

import bed


class GuestTestpmd(bed.Console):
    """An interactive dpdk-testpmd in a guest."""

    count = 0

    def __init__(self, guest, eal, args=(), memory=64, mbufs=4096, huge=True,
                 memlock="unlimited", wait=True, lcores="0@0,1@1", prefix=()):
        GuestTestpmd.count += 1
        self.guest, self.name = guest, "pmd%d" % GuestTestpmd.count
        self.mbufs = mbufs
        self.text, self.taken = "", 0
        argv = list(prefix) + ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", lcores]
        argv += ["--no-telemetry", "--file-prefix", self.name, "-m", str(memory)]
        argv += ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        argv += list(eal)
        argv += ["--", "-i", "--total-num-mbufs=%d" % mbufs, "--no-mlockall"] + list(args)
        self.pid = int(guest.must(
            "ulimit -l %s; mkfifo /tmp/%s.in; %s <> /tmp/%s.in > /tmp/%s.out 2>&1 & echo $!" % (
                memlock, self.name, " ".join(map(shlex.quote, argv)), self.name, self.name)))
        self.prompts = 1
        if wait:
            self.wait_prompt()

    def log(self, first="true"):
        said = self.guest.must("%s; tail -c +%d /tmp/%s.out | base64 -w 0; echo" % (
            first, self.taken + 1, self.name), 60)
        new = base64.b64decode(said.strip())
        self.taken += len(new)
        self.text += new.decode(errors="replace")
        return self.text

    def last_line(self):
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "no output"

    def alive(self):
        return self.guest.run("kill -0 %d" % self.pid)[0] == 0

    def send(self, line):
        self.guest.must("echo %s > /tmp/%s.in" % (shlex.quote(line), self.name))

    def cmd(self, line, seconds=15):
        """As with a testpmd of this machine, but in one exchange with the guest."""
        before = len(self.log())
        self.prompts += 1
        # as prompts_seen(), without an exchange each time
        self.log("echo %s > /tmp/%s.in; end=$(($(date +%%s)+%d)); while [ $(date +%%s) -lt $end ] "
                 "&& [ $(sed -E 's/(%s)$//' /tmp/%s.out | tr -d '\\n' | grep -o '%s' | wc -l) "
                 "-lt %d ]; do usleep 20000; done" % (
                     shlex.quote(line), self.name, seconds, self.MESSAGE, self.name,
                     self.PROMPT, self.prompts))
        self.wait_prompt(1)
        return self.text[before:].replace(line, "", 1).replace(self.PROMPT, "").strip()

    def fds(self):
        return int(self.guest.must("ls /proc/%d/fd | wc -l" % self.pid))

    def pinned_kib(self):
        """Memory that the kernel keeps in place for the device."""
        return int(self.guest.must("awk '/VmPin/ {print $2}' /proc/%d/status" % self.pid))

    def quit(self):
        if self.alive():
            self.send("quit")
            try:
                bed.wait_for("", lambda: not self.alive(), 10, 0.1)
            except bed.Failure:
                self.guest.run("kill -9 %d" % self.pid)
        self.keep_log()

    def keep_log(self):
        with open(bed.path("guest-%s.log" % self.name), "w") as file:
            file.write(self.log())
