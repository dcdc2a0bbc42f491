"""The tree as the rules see it: files, their text with comments and strings told apart, functions."""
import json
import os
import re
import subprocess
from collections import namedtuple

Finding = namedtuple('Finding', 'path line rule message')
Function = namedtuple('Function', 'name line end signature')
Variable = namedtuple('Variable', 'name line')

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
SILENT = re.compile(r'\s*(?:[{}();,]*|#\s*(?:include|endif|ifn?def|if|else)\b.*|#\s*define\s+\w+_H)\s*$')
FORWARD = re.compile(r'^static [^;{}=]*\([^;{}=]*\)[^;{}=()]*;$', re.M)
ALLOW = re.compile(r'lint-allow ([a-z-]+): (?!\*/)\S')


def blank(text):
    return re.sub(r'[^\n]', ' ', text)


class File:
    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding='utf-8') as stream:
            self.text = stream.read()
        self.is_header = path.endswith('.h')
        self.room = room_of(path)
        self.comments = []    # (line, text)
        self.strings = []     # (line, text between the quotes)
        self.functions = []
        self.variables = []   # file scope
        self.enumerators = []
        self.starts = [0] + [m.end() for m in re.finditer('\n', self.text)]
        self.code = TOKEN.sub(self.take_token, self.text)
        self.code_lines = self.code.split('\n')
        self.allowed = {}     # line -> rules
        for line, comment in self.comments:
            for rule in ALLOW.findall(comment):
                last = line + comment.count('\n')
                for covered in range(line, last + 2):
                    self.allowed.setdefault(covered, set()).add(rule)

    def take_token(self, match):
        token = match.group(0)
        if token.startswith('/'):
            self.comments.append((self.line_of(match.start()), token))
            return blank(token)
        if token.startswith('"'):
            self.strings.append((self.line_of(match.start()), token[1:-1]))
        return token[0] + blank(token[1:-1]) + token[-1]

    def line_of(self, offset):
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        return low + 1

    def includes(self):
        """(line, name, is_system) of every #include.  Names are strings, so they come from the text."""
        return [(self.line_of(m.start()), m.group(2), m.group(1) == '<')
                for m in INCLUDE.finditer(self.text)]

    def finding(self, line, rule, message):
        return Finding(self.path, line, rule, message)

    def comment_line_count(self):
        return len({n for line, text in self.comments
                    for n in range(line, line + text.count('\n') + 1)})

    def code_line_count(self):
        return sum(1 for line in self.code_lines if line.strip())

    def telling_line_count(self):
        """Code lines that a comment could explain.  Guards, includes, lone braces and the forward
        declarations of helpers say nothing new; the body of an inline function is no declaration."""
        code = self.code if self.is_header else FORWARD.sub(lambda m: blank(m.group(0)), self.code)
        lines = code.split('\n')
        if self.is_header:
            for function in self.functions:
                lines[function.line:function.end] = [''] * (function.end - function.line)
        return sum(1 for line in lines if line.strip() and not SILENT.match(line))


def room_of(path):
    parts = path.split('/')
    if parts[0] == 'src' and len(parts) > 2:
        return parts[1]
    return '/'.join(parts[:2]) if parts[0] == 'tools' else parts[0]


class Tree:
    """All C of src, include and tools.  Tests and generated files have rules of their own elsewhere."""

    def __init__(self, root):
        self.root = root
        self.files = [File(root, path) for path in self.find()]
        self.read_tags()

    def find(self):
        found = []
        for top in ('src', 'include', 'tools'):
            for folder, folders, names in os.walk(os.path.join(self.root, top)):
                folders[:] = sorted(f for f in folders if f not in ('node_modules', 'build'))
                found += [os.path.relpath(os.path.join(folder, n), self.root)
                          for n in sorted(names) if n.endswith(('.c', '.h'))]
        return found

    def of_src(self):
        return [f for f in self.files if f.path.startswith('src/')]

    def read_tags(self):
        if not self.files:
            return
        by_path = {f.path: f for f in self.files}
        run = subprocess.run(
            ['ctags', '--output-format=json', '--languages=C', '--map-C=+.h', '--map-C++=-.h', '--kinds-C=fve',
             '--fields=+neSK', '-f', '-', '-L', '-'],
            input='\n'.join(by_path), cwd=self.root, text=True, capture_output=True, check=True)
        for line in run.stdout.splitlines():
            tag = json.loads(line)
            file = by_path[tag['path']]
            if tag['kind'] == 'function' and 'end' in tag:
                file.functions.append(Function(tag['name'], tag['line'], tag['end'],
                                               tag.get('signature', '()')))
            elif tag['kind'] == 'variable':
                file.variables.append(Variable(tag['name'], tag['line']))
            elif tag['kind'] == 'enumerator':
                file.enumerators.append(tag['name'])
