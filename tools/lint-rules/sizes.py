"""Sizes: of files, headers, functions, parameter lists; how much is explained and asserted."""
import re

FILE_LINES = 600
HEADER_LINES = 200
FUNCTION_LINES = 60
FUNCTION_P95 = 45
FUNCTION_MEDIAN = 15
PARAMETERS = 4            # one more with a context
CONTEXT = re.compile(r'\bstruct (ctx|call|tx) \*')
# The design's budget: what a comment must say is in CONTRIBUTING.md.
COMMENTS_ALL = 0.20
COMMENTS_HEADERS = 0.80
ENOUGH_FUNCTIONS = 20     # below, a share says nothing
ENOUGH_LINES = 200


def check(tree):
    for file in tree.files:
        yield from check_file(file)
    yield from check_spread(tree)
    yield from check_comments(tree)


def check_file(file):
    limit = HEADER_LINES if file.is_header else FILE_LINES
    lines = file.text.count('\n')
    if lines > limit:
        yield file.finding(limit + 1, 'file-size', f'{lines} lines; at most {limit}')
    for function in file.functions:
        size = function.end - function.line + 1
        if size > FUNCTION_LINES:
            yield file.finding(function.line, 'function-size',
                               f'{function.name} has {size} lines; at most {FUNCTION_LINES}')
        count = parameter_count(function.signature)
        limit = PARAMETERS + (1 if CONTEXT.search(function.signature) else 0)
        if count > limit and not is_variadic(function.signature):
            yield file.finding(function.line, 'parameters',
                               f'{function.name} has {count} parameters; at most {limit}')


def parameter_count(signature):
    inside = signature.strip()[1:-1].strip()
    if inside in ('', 'void'):
        return 0
    depth, count = 0, 1
    for char in inside:
        depth += char in '([{'
        depth -= char in ')]}'
        count += char == ',' and depth == 0
    return count


def is_variadic(signature):
    return '...' in signature


def function_sizes(tree):
    return sorted(f.end - f.line + 1 for file in tree.of_src() for f in file.functions)


def share(sizes, part):
    return sizes[min(len(sizes) - 1, int(len(sizes) * part))] if sizes else 0


def check_spread(tree):
    sizes = function_sizes(tree)
    if len(sizes) < ENOUGH_FUNCTIONS:
        return
    for part, limit, name in ((0.5, FUNCTION_MEDIAN, 'median'), (0.95, FUNCTION_P95, 'p95')):
        if share(sizes, part) > limit:
            yield ('src', 1, 'function-spread',
                   f'{name} of function lines is {share(sizes, part)}; at most {limit}')


def ratio(files):
    """Comment lines per line that could do with one, and how many of these there are."""
    code = sum(f.telling_line_count() for f in files)
    return sum(f.comment_line_count() for f in files) / code if code else 1.0, code


def headers(tree):
    return [f for f in tree.of_src() if f.is_header]


def check_comments(tree):
    for files, least, name in ((tree.of_src(), COMMENTS_ALL, 'comment lines per telling line of code'),
                               (headers(tree), COMMENTS_HEADERS, 'the same in headers')):
        value, code = ratio(files)
        if code >= ENOUGH_LINES and value < least:
            yield ('src', 1, 'comments', f'{name}: {value:.2f}; at least {least:.2f}')


def report(tree):
    """The figures, for a person."""
    sizes = function_sizes(tree)
    files = tree.of_src()
    code = sum(f.code_line_count() for f in files)
    asserts = sum(len(re.findall(r'\b(?:assert|_Static_assert)\s*\(', f.code)) for f in files)
    lines = sorted(f.text.count('\n') for f in files if not f.is_header)
    rooms = ' '.join(f'{room} {ratio([f for f in files if f.room == room])[0]:.2f}'
                     for room in sorted({f.room for f in files}))
    return (f'src: {len(files)} files, {code} lines of code; .c files median {share(lines, 0.5)} '
            f'max {lines[-1] if lines else 0} lines\n'
            f'functions: {len(sizes)}; lines median {share(sizes, 0.5)} p95 {share(sizes, 0.95)} '
            f'max {sizes[-1] if sizes else 0}\n'
            f'comment ratio {ratio(files)[0]:.2f}, headers {ratio(headers(tree))[0]:.2f}; '
            f'asserts per kloc {1000 * asserts / code if code else 0:.0f} (aim: 15)\n'
            f'comments by room: {rooms}')
