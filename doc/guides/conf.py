# SPDX-License-Identifier: BSD-3-Clause

import configparser
import pathlib
import re

from docutils import nodes
from docutils.parsers.rst import Directive

HERE = pathlib.Path(__file__).parent

project = 'net_vring'
copyright = 'The net_vring authors'
release = re.search(r"version: '([^']*)'", (HERE / '../../meson.build').read_text()).group(1)
version = release

master_doc = 'index'
highlight_language = 'none'
html_theme = 'alabaster'
html_show_copyright = False


class Features(Directive):
    """A table of the driver's features, from an ini file beside the page that DPDK's own
    guides could take as it is:

        .. features:: features/vring.ini
    """
    required_arguments = 1

    def run(self):
        env = self.state.document.settings.env
        path = pathlib.Path(env.doc2path(env.docname)).parent / self.arguments[0]
        env.note_dependency(str(path))
        ini = configparser.ConfigParser(delimiters='=', comment_prefixes=(';',))
        ini.optionxform = str
        ini.read_string(path.read_text())
        table = nodes.table()
        group = nodes.tgroup(cols=2)
        table += group
        group += [nodes.colspec(colwidth=3), nodes.colspec(colwidth=1)]
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += self.row('Feature', 'Support')
        for name, support in ini['Features'].items():
            body += self.row(name, {'Y': 'yes', 'P': 'partly'}.get(support, support))
        return [table]

    @staticmethod
    def row(*texts):
        row = nodes.row()
        for text in texts:
            row += nodes.entry('', nodes.paragraph(text=text))
        return row


def setup(app):
    app.add_directive('features', Features)
