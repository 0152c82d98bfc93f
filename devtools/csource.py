# SPDX-License-Identifier: BSD-3-Clause
"""C sources as devtools/check-shape and devtools/check-words read them.

No compiler and no preprocessor: comments and literals are blanked, and what stands outside of
braces is parted into functions, variables, declarations and types. Both arms of an #if are read.
That is enough for code in the style of this tree.
"""

import os
import re
import tempfile

TOKEN = re.compile(r'[A-Za-z_]\w*|\d[\w.]*|->|\.\.\.|##|[^\s\w]')
NAME = re.compile(r'[A-Za-z_]\w*$')
LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
INCLUDE = re.compile(r'#\s*include\s*[<"]([^>"]+)[>"]')
REGISTERS = re.compile(r'RTE_LOG_REGISTER\w* \(')	# a macro that defines a variable
DEFINE = re.compile(r'#\s*define\s+(\w+)(\([^)]*\))?')
ATTRIBUTE = re.compile(r'__\w+$|[A-Z][A-Z0-9_]+$')
CLOSES = {'(': ')', '[': ']', '{': '}'}
RECORDS = ('struct', 'union', 'enum')
KEYWORDS = frozenset('''auto break case char const continue default do double else enum extern float
for goto if inline int long register restrict return short signed sizeof static struct switch
typedef union unsigned void volatile while bool true false NULL'''.split())


class Token(str):
    """A token, and the number of its line."""

    def __new__(cls, text, line):
        self = super().__new__(cls, text)
        self.line = line
        return self

    def is_name(self):
        return NAME.match(self) is not None and self not in KEYWORDS


class Function:
    """A definition: its name, its parameters (a list of tokens each), its body."""

    def __init__(self, name, head, params, body):
        self.name = name
        self.head = head
        self.params = params
        self.body = body		# with both braces
        self.static = 'static' in head
        self.first = name.line
        self.last = body[-1].line


class Variable:
    def __init__(self, name, static, array):
        self.name = name
        self.static = static
        self.array = array


class Record:
    """A struct or union with its members: {name: tag of its struct, or None}."""

    def __init__(self, tag, members):
        self.tag = tag
        self.members = members


def tokenize(text):
    tokens = []
    for number, line in enumerate(text.split('\n'), 1):
        tokens += [Token(found, number) for found in TOKEN.findall(line)]
    return tokens


def group_end(tokens, start):
    """The index behind the bracket that closes the one at start."""
    depth = 0
    for i in range(start, len(tokens)):
        if tokens[i] in CLOSES:
            depth += 1
        elif tokens[i] in (')', ']', '}'):
            depth -= 1
            if depth == 0:
                return i + 1
    return len(tokens)


def split_commas(tokens):
    """The tokens between commas that are in no bracket."""
    parts, i, part = [], 0, []
    while i < len(tokens):
        if tokens[i] == ',':
            parts.append(part)
            part = []
            i += 1
            continue
        end = group_end(tokens, i) if tokens[i] in CLOSES else i + 1
        part += tokens[i:end]
        i = end
    return parts + [part] if part or parts else []


def drop_macros(tokens):
    """Without attributes, and without what cannot begin a declaration: NAME(...)."""
    out, i = [], 0
    while i < len(tokens):
        call = tokens[i + 1:i + 2] == ['('] and tokens[i + 2:i + 3] != ['*']
        if call and (tokens[i] in ('__attribute__', '__asm__', '__rte_aligned', '__typeof__') or
                     (not out and NAME.match(tokens[i]))):
            i = group_end(tokens, i + 1)
        else:
            out.append(tokens[i])
            i += 1
    return out


def declarators(tokens):
    """(name, is an array, is a function) of each declarator of a declaration without its ';'."""
    found = []
    for part in split_commas(tokens):
        if '=' in part:
            part = part[:part.index('=')]
        name, array, function, i = None, False, False, 0
        while i < len(part):
            if part[i] == '(':
                end = group_end(part, i)
                if i + 1 < len(part) and part[i + 1] == '*':	# (*name)(...)
                    inner = declarators(part[i + 2:end - 1])
                    if inner:
                        name, array = inner[0][:2]
                    break
                function = name is not None
                break
            if part[i] == '[':
                array = True
                i = group_end(part, i)
                continue
            if part[i] == ':':
                break
            if part[i] in RECORDS and i + 1 < len(part):
                i += 2
                continue
            if part[i].is_name():
                name = part[i]
            i += 1
        if name is not None and not ATTRIBUTE.match(name):
            found.append((name, array, function))
    return found


class Source:
    """One file."""

    def __init__(self, root, path):
        self.path = path
        self.dir, self.file = os.path.split(path)
        self.stem = self.file.rsplit('.', 1)[0]
        self.is_header = path.endswith('.h')
        with open(os.path.join(root, path), encoding='utf-8') as file:
            self.text = file.read()
        self.nlines = self.text.count('\n')
        self.comments = []		# (line, text)
        self.includes = []		# (line, name)
        self.macros = []		# (name, line, parameters or None, tokens of the body)
        self.functions = []
        self.variables = []
        self.records = []
        self.prototypes = {}		# name: tag of the struct that it returns, or is, or None
        self.externs = set()
        self.typedefs = {}		# name: tag or None
        self.uses = []			# tokens of bodies, initialisers and macros
        code = LITERAL.sub(self._blank, self.text)
        self.code = code
        self.tokens = self._directives(code)
        self._outside(self.tokens)

    def _blank(self, match):
        text = match.group()
        if text[0] == '/':
            line = self.text.count('\n', 0, match.start()) + 1
            self.comments += [(line + i, part) for i, part in enumerate(text.split('\n'))]
            return re.sub(r'[^\n]', ' ', text)
        return '0' + ' ' * (len(text) - 1) if text[0] == "'" else '""' + ' ' * (len(text) - 2)

    def _directives(self, code):
        """Take the preprocessor's lines out; the tokens of the rest."""
        lines, i = code.split('\n'), 0
        raw = self.text.split('\n')
        while i < len(lines):
            if not lines[i].lstrip().startswith('#'):
                i += 1
                continue
            start = i
            while lines[i].endswith('\\') and i + 1 < len(lines):
                i += 1
            i += 1
            text = '\n'.join(line.rstrip('\\') for line in lines[start:i])
            found = INCLUDE.match(raw[start].lstrip())
            if found:
                self.includes.append((start + 1, found.group(1)))
            found = DEFINE.match(text.lstrip())
            if found:
                skipped = text.lstrip()[:found.end()].count('\n')
                body = [Token(t, t.line + start + skipped)
                        for t in tokenize(text.lstrip()[found.end():])]
                params = TOKEN.findall(found.group(2)) if found.group(2) else None
                self.macros.append((found.group(1), start + 1, params, body))
                self.uses += body
            lines[start:i] = [''] * (i - start)
        return tokenize('\n'.join(lines))

    def _outside(self, tokens):
        i, head = 0, []
        while i < len(tokens):
            token = tokens[i]
            if token == ';':
                self._declaration(head)
                head = []
            elif token == '{':
                end = group_end(tokens, i)
                if head and head[-1] == ')' and '=' not in head:
                    self._function(head, tokens[i:end])
                    head = []
                elif [t for t in head if t in RECORDS] and '=' not in head:
                    self._record(head, tokens[i:end])
                    if not (len(head) > 1 and head[-1].is_name()):
                        head = head + [Token('unnamed__', token.line)]
                elif '=' in head:
                    self.uses += tokens[i:end]
                    head += tokens[i:end]
                i = end
                continue
            elif token in CLOSES:
                end = group_end(tokens, i)
                head += tokens[i:end]
                i = end
                continue
            else:
                head.append(token)
            i += 1

    def _function(self, head, body):
        head = drop_macros(head)
        start = len(head) - 1
        while start >= 0 and not (head[start] == '(' and group_end(head, start) == len(head)):
            start -= 1
        if start < 1 or not NAME.match(head[start - 1]):
            return
        params = split_commas(head[start + 1:-1])
        if params == [['void']]:
            params = []
        self.functions.append(Function(head[start - 1], head[:start - 1], params, body))
        self.prototypes[head[start - 1]] = self._tag(head[:start - 1])
        self.uses += head + body

    @staticmethod
    def _tag(tokens):
        for i, token in enumerate(tokens[:-1]):
            if token in ('struct', 'union'):
                return tokens[i + 1]
        return None

    def _record(self, head, body):
        head = drop_macros(head)
        tag = head[-1] if len(head) > 1 and head[-1] not in RECORDS else None
        if 'enum' in head:
            self.uses += body
            return
        self.records.append(Record(tag, self._members(body[1:-1])))

    def _members(self, tokens):
        """Those of unnamed structs and unions inside count as the outer one's."""
        members, i, part = {}, 0, []
        while i < len(tokens):
            if tokens[i] == ';':
                declaration = drop_macros(part)
                for name, _, _ in declarators(declaration):
                    members[name] = self._tag(declaration)
                part = []
            elif tokens[i] == '{':
                end = group_end(tokens, i)
                inner = self._members(tokens[i + 1:end - 1])
                if part and part[-1].is_name():
                    self.records.append(Record(part[-1], inner))
                else:
                    members.update(inner)
                    part.append(Token('unnamed__', tokens[i].line))
                i = end
                continue
            else:
                part.append(tokens[i])
            i += 1
        members.pop('unnamed__', None)
        return members

    def _declaration(self, head):
        if len(head) > 3 and REGISTERS.match(' '.join(head)):
            self.variables.append(Variable(head[2], False, False))
        head = drop_macros(head)
        if not head:
            return
        if '=' in head:
            self.uses += head[head.index('='):]
        tag = self._tag(head)
        if head[0] == 'typedef':
            for name, _, _ in declarators(head[1:]):
                self.typedefs[name] = tag
            return
        self.uses += [t for i, t in enumerate(head) if i and head[i - 1] in RECORDS]
        for name, array, function in declarators(head):
            if function:
                self.prototypes[name] = tag
            elif 'extern' in head:
                self.externs.add(name)
                self.prototypes[name] = tag
            elif len(head) > 2 or head[0] not in RECORDS:
                if name != head[0] and name != 'unnamed__':
                    self.variables.append(Variable(name, 'static' in head, array))
                    self.prototypes[name] = tag


def load(root, *dirs):
    """The sources below these directories of root, sorted."""
    paths = []
    for top in dirs:
        for where, _, names in os.walk(os.path.join(root, top)):
            paths += [os.path.relpath(os.path.join(where, name), root)
                      for name in names if name.endswith(('.c', '.h'))]
    sources = [Source(root, path) for path in sorted(set(paths))]
    # Macros that make a function static, as VIRTQ_INLINE does.
    inlines = {name for source in sources for name, _, params, body in source.macros
               if params is None and body[:1] == ['static']}
    for source in sources:
        for function in source.functions:
            function.static = function.static or not inlines.isdisjoint(function.head)
    return sources


class Report:
    def __init__(self):
        self.lines = []

    def find(self, path, line, reason):
        self.lines.append('%s:%d: %s' % (path, line, reason))


def self_test(script, clean, faults, findings_in):
    """
    A tree of the files `clean` has no findings; each of `faults`, {case: (reason, path, files)},
    has the reason in that file once these files are added. Returns what the script ends with.
    """
    status = 0
    for case, (reason, path, files) in {'clean': (None, None, {}), **faults}.items():
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**clean, **files}.items():
                os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as file:
                    file.write(text)
            found = findings_in(root)
        right = not found if reason is None else \
            any(line.startswith(path + ':') and reason in line for line in found)
        if right:
            print('ok %s/%s' % (script, case))
        else:
            status = 1
            print('not ok %s/%s - found: %s' % (script, case, '; '.join(found) or 'nothing'))
    return status
