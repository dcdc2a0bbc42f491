"""Banned functions, words, globals, macros with control flow, and other habits."""
import os
import re

BANNED = {
    'strcpy': 'snprintf or a buf', 'strcat': 'a buf', 'stpcpy': 'a buf', 'strncpy': 'snprintf',
    'strncat': 'a buf', 'sprintf': 'snprintf', 'vsprintf': 'vsnprintf', 'gets': 'a buf',
    'strtok': 'strcspn', 'atoi': 'a parser that can refuse', 'atol': 'a parser that can refuse',
    'atoll': 'a parser that can refuse', 'atof': 'a parser that can refuse', 'alloca': 'the arena',
    'system': 'nothing', 'popen': 'nothing', 'rand': 'random_bytes', 'srand': 'random_bytes',
    'random': 'random_bytes', 'gmtime': 'gmtime_r', 'localtime': 'gmtime_r', 'asctime': 'clock_format',
    'ctime': 'clock_format', 'strerror_r': 'strerror', 'setjmp': 'a result', 'longjmp': 'a result',
    'signal': 'sigaction', 'usleep': 'task_sleep', 'sleep': 'task_sleep',
    'gethostbyname': 'getaddrinfo', 'mktemp': 'mkstemp', 'tmpnam': 'mkstemp',
}
BANNED_CALL = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
RAW_ALLOC = re.compile(r'(?<![\w.>])(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|'
                       r'vasprintf|aligned_alloc|posix_memalign)\s*\(')
ALLOC_HOME = 'src/base/alloc.c'
WORDS = re.compile(r'\b(TODO|FIXME|XXX|HACK|TBD|WIP)\b|\bfor now\b|\bnot (?:yet )?implemented\b|'
                   r'\bunimplemented yet\b|\bstub(?:bed)?\b(?= (?:only|for)\b)', re.I)
DEFINE = re.compile(r'^[ \t]*#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)', re.M)
FLOW = re.compile(r'\b(return|goto|break|continue)\b')
FLOW_MACROS = {'TRY'}
CODE_COLUMNS, COMMENT_COLUMNS = 100, 112
RETURN_ELSE = re.compile(r'\breturn\b[^;{}]*;\s*(\}?)\s*else\b')
SWITCH = re.compile(r'\bswitch\b|\bcase\s+([A-Za-z_]\w*)|\bdefault\s*:|[{}()]')
LOCAL_STATIC = re.compile(r'^[ \t]+static\s+(?!const\b|inline\b|_Noreturn\b|_Atomic\b)[^;=(]*[;=\[]')


def check(tree):
    own = {name for file in tree.files for name in file.enumerators}
    for file in tree.files:
        yield from check_calls(file)
        yield from check_words(file)
        yield from check_macros(file)
        yield from check_globals(file)
        yield from check_defaults(file, own)
        yield from check_form(file)
        yield from check_width(file)
    yield from check_rooms(tree)


def check_calls(file):
    for number, text in enumerate(file.code_lines, 1):
        match = BANNED_CALL.search(text)
        if match:
            yield file.finding(number, 'banned-call',
                               f'{match.group(1)}: use {BANNED[match.group(1)]}')
        match = RAW_ALLOC.search(text)
        if match and file.path.startswith('src/') and file.path != ALLOC_HOME:
            yield file.finding(number, 'raw-alloc', f'{match.group(1)}: use base/alloc.h or an arena')


def check_words(file):
    for number, text in enumerate(file.text.split('\n'), 1):
        match = WORDS.search(text)
        if match:
            yield file.finding(number, 'words', f'"{match.group(0)}": finish it or file an issue')


def check_macros(file):
    for match in DEFINE.finditer(file.code):
        if FLOW.search(match.group(2)) and match.group(1) not in FLOW_MACROS:
            yield file.finding(file.line_of(match.start()), 'macro-flow',
                               f'{match.group(1)} changes control flow; only TRY may')


def check_globals(file):
    for number, text in enumerate(file.code_lines, 1):
        if re.match(r'\s*extern\s+(?!const\b)[^(]*;', text) or \
                re.match(r'\s*extern\s+const\b[^;(]*\*\s*(?!const\b)\w+\s*[;\[]', text) and \
                not re.match(r'\s*extern\s+const\s+char\s*\*\s*const\b', text):
            yield file.finding(number, 'extern', 'no variables shared by name, unless const')
        if LOCAL_STATIC.match(text) and 'const' not in text:
            yield file.finding(number, 'global', 'a static local is a global: put it into a struct')
    if file.is_header:
        return
    for variable in file.variables:
        start = declaration(file, variable.line)
        if 'const' not in start and 'extern' not in start:
            yield file.finding(variable.line, 'global',
                               f'{variable.name} is mutable and global: put it into a struct')


def declaration(file, line):
    """The line on which the declaration begins: "} names[] = {" belongs to a struct further up."""
    while line > 1 and file.code_lines[line - 1].startswith(('}', ' ', '\t')):
        line -= 1
        while line > 1 and not file.code_lines[line - 1].strip():
            line -= 1
    return file.code_lines[line - 1]


def check_defaults(file, own):
    """A `default:` in a switch over one of our enums hides the case that somebody forgot."""
    stack, depth, brackets, pending = [], 0, 0, False
    for match in SWITCH.finditer(file.code):
        token = match.group(0)
        if token == 'switch':
            pending = True
        elif token in '()':
            brackets += 1 if token == '(' else -1
        elif token == '{':
            depth += 1
            if pending and brackets == 0:
                stack.append((depth, [], []))
                pending = False
        elif token == '}':
            if stack and stack[-1][0] == depth:
                yield from judge_switch(file, stack.pop(), own)
            depth -= 1
        elif stack and brackets == 0:
            stack[-1][1 if match.group(1) else 2].append(match.group(1) or match.start())


def judge_switch(file, switch, own):
    _, cases, defaults = switch
    if defaults and any(case in own for case in cases):
        yield file.finding(file.line_of(defaults[0]), 'default-label',
                           'a switch over our own enum names every case')


def check_form(file):
    if not file.text.startswith('/*'):
        yield file.finding(1, 'first-comment', 'the first line says what this file is')
    for match in RETURN_ELSE.finditer(file.code):
        if is_needless_else(file.code, match):
            yield file.finding(file.line_of(match.end() - 1), 'else-return', 'no else after return')
    for match in re.finditer(r'\btypedef\s+(?:struct|union|enum)\b', file.code):
        yield file.finding(file.line_of(match.start()), 'typedef', 'write struct noun')
    if file.is_header:
        yield from check_guard(file)


def is_needless_else(code, match):
    """True when the branch that the else follows always ends in this return and is the chain's first."""
    before = code[:match.start()].rstrip()
    if match.group(1):
        if not before.endswith((';', '{', '}', ':')):
            return False  # the return itself is conditional
        before = code[:opening(code, match.start(1), '{', '}')].rstrip()
    if not before.endswith(')'):
        return False
    head = code[:opening(code, len(before) - 1, '(', ')')].rstrip()
    return head.endswith('if') and not head[:-2].rstrip().endswith('else')


def opening(code, closing, left, right):
    """Where the bracket opens that closes at `closing`."""
    depth = 0
    for at in range(closing, -1, -1):
        depth += (code[at] == right) - (code[at] == left)
        if depth == 0:
            return at
    return 0


def check_width(file):
    """clang-format keeps code within its columns; comments may stand over by a word."""
    for number, (code, text) in enumerate(zip(file.code_lines, file.text.split('\n')), 1):
        if len(code.rstrip()) > CODE_COLUMNS or len(text) > COMMENT_COLUMNS:
            yield file.finding(number, 'line-length', f'{len(text)} columns; at most '
                               f'{CODE_COLUMNS}, with a comment {COMMENT_COLUMNS}')


def check_guard(file):
    parts = file.path.split('/')
    name = '_'.join(parts[1:] if parts[0] in ('src', 'include', 'tools') else parts)
    guard = re.sub(r'\W', '_', name).upper()
    match = re.search(r'^#ifndef (\w+)\n#define (\w+)$', file.text, re.M)
    if match is None or match.group(1) != guard or match.group(2) != guard:
        line = 1 if match is None else file.line_of(match.start())
        yield file.finding(line, 'guard', f'the include guard is {guard}')


def check_rooms(tree):
    rooms = sorted({f.room for f in tree.of_src()})
    for room in rooms:
        if not os.path.exists(os.path.join(tree.root, 'src', room, 'README.md')):
            yield (f'src/{room}', 1, 'room-readme', 'a room has a README.md of about six lines')
