#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Usage: devtools/reference.py

Writes doc/guides/nics/vring_devargs.rst, the table of all device arguments, from the list in the
driver's sources (VRING_DEVARGS). devtools/check-docs finds a page that is not what this would
write.
"""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = "drivers/net/vring/vring_devargs_list.h"
PAGE = "doc/guides/nics/vring_devargs.rst"
GUIDE = "doc/guides/nics/vring.rst"
PORTS = {"BACK": "back-end", "SOCKET": "socket", "VDPA": "vDPA", "NET": "vhost-net"}
GROUPS = {"ALL": list(PORTS), "FRONT": ["SOCKET", "VDPA", "NET"]}
# what the compiler makes of the list: a line for each argument
PROGRAM = """#include <stdio.h>
#include "%s"
#define SAY(roles, key, parse, field, lo, hi, init, shown, allowed, initial, means) \\
	puts(#roles "\\t" key "\\t" allowed "\\t" initial "\\t" means);
int main(void) { VRING_DEVARGS(SAY) return 0; }
"""
HEAD = """..  SPDX-License-Identifier: BSD-3-Clause

..  Written by devtools/reference.py, from %s.

Device arguments of vring
=========================

How arguments are given, and more of what some of them do, is in :ref:`the driver's guide
<devargs>`. *Ports* are those on which an argument has an effect:

*  *back-end*: ports with ``iface=``;
*  *front-end*: ports with ``path=``, all of these: *socket*, that of a vhost-user back-end; *vDPA*,
   a vhost-vdpa device of the kernel; *vhost-net*, ``/dev/vhost-net``.

An argument of front-ends is refused on a back-end, and the other way round.

.. list-table:: Device arguments
   :header-rows: 1
   :widths: 17 15 21 14 33

   * - Key
     - Ports
     - Values
     - Default
     - Meaning
"""


class Argument:
    def __init__(self, line):
        roles, self.key, self.values, self.default, self.means = line.split("\t")
        self.roles = [role for word in roles.split(" | ") for role in GROUPS.get(word, [word])]

    def ports(self):
        """Words for the ports, as few as there are."""
        if set(self.roles) == set(PORTS):
            return "all"
        if set(self.roles) == set(GROUPS["FRONT"]):
            return "front-end"
        return ", ".join(PORTS[role] for role in self.roles)


def arguments():
    """The list, as the compiler has it."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "list")
        subprocess.run(["gcc", "-x", "c", "-", "-o", program], check=True, text=True,
                       input=PROGRAM % os.path.join(ROOT, LIST))
        said = subprocess.run([program], check=True, text=True, stdout=subprocess.PIPE).stdout
    return [Argument(line) for line in said.splitlines()]


def explained():
    """Keys of which the guide has more to say."""
    with open(os.path.join(ROOT, GUIDE), encoding="utf-8") as file:
        return re.findall(r"^\.\. _devarg_([\w-]+):$", file.read(), re.M)


def marked(text):
    """What is code in a sentence, as such: KEY=VALUE, and paths."""
    return re.sub(r"(?<![\w/])([a-z_-]+=[\w/-]+|/\w[\w/-]*)", r"``\1``", text)


def page():
    rows, more = [], explained()
    for argument in arguments():
        means = marked(argument.means)
        if argument.key in more:
            means += " :ref:`More <devarg_%s>`" % argument.key
        cells = ["``%s``" % argument.key, argument.ports(), marked(argument.values),
                 argument.default, means]
        rows += ["   * - " + cells[0]] + ["     - " + cell for cell in cells[1:]]
    return HEAD % LIST + "\n".join(rows) + "\n"


def main():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
    else:
        text = page()
        with open(os.path.join(ROOT, PAGE), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
