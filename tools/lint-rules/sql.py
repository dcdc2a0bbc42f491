"""SQL stands in src/store only (and in src/inbox, which runs on databases of others), and none of it may leave anything behind on a shared connection:
PgBouncer in transaction mode hands the session to somebody else's tenant next."""
import re

STATEMENT = re.compile(
    r'^\s*(?:SELECT\s.+|SELECT\s+\S+\(.*|INSERT\s+INTO\s.*|UPDATE\s+\S+\s+SET\b.*|DELETE\s+FROM\s.*|'
    r'WITH\s+\w+\s+AS\s.*|BEGIN(?:\s+(?:READ|ISOLATION|TRANSACTION).*|;.*)?|COMMIT;?|ROLLBACK;?|'
    r'(?:CREATE|ALTER|DROP)\s+(?:TABLE|INDEX|ROLE|SCHEMA|POLICY|FUNCTION|VIEW)\b.*|SET\s+(?:LOCAL\s+)?\w+.*|'
    r'(?:GRANT|REVOKE)\s.+|TRUNCATE\s.+|LISTEN\s+\w+|NOTIFY\s+\w+.*|COPY\s+\w+\s+(?:FROM|TO)\b.*|'
    r'SAVEPOINT\s.*)$', re.S)
SESSION = (
    (re.compile(r'(?:^|;)\s*SET\s+(?!LOCAL\b|CONSTRAINTS\b)', re.I), 'SET without LOCAL'),
    (re.compile(r'\bset_config\s*\([^)]*,\s*(?:false|f|0)\s*\)', re.I), 'set_config for the session'),
    (re.compile(r'(?:^|;)\s*(?:UN)?LISTEN\b', re.I), 'LISTEN'),
    (re.compile(r'\bCREATE\s+(?:LOCAL\s+|GLOBAL\s+)?TEMP', re.I), 'a temporary table'),
    (re.compile(r'(?:^|;)\s*(?:PREPARE|DEALLOCATE|EXECUTE)\b', re.I), 'SQL-level PREPARE'),
    (re.compile(r'(?:^|;)\s*DECLARE\s+\w+\s.*\bWITH\s+HOLD\b', re.I | re.S), 'a cursor WITH HOLD'),
)
ADVISORY = re.compile(r'\bpg_(?:try_)?advisory_(?:lock|unlock)\w*', re.I)
ROOMS = ('store', 'inbox')
PREPARED = re.compile(r'\b(PQ(?:send)?[pP]repare|PQ(?:sendQuery|exec)Prepared)\s*\(')


def check(tree):
    for file in tree.files:
        for line, text in literals(file):
            yield from check_literal(file, line, text)
        for number, code in enumerate(file.code_lines, 1):
            match = PREPARED.search(code)
            if match:
                yield file.finding(number, 'sql-session', f'{match.group(1)}: statements are unnamed')


def literals(file):
    """Adjacent literals are one text; what stands between them is blank."""
    joined = []
    last_end = None
    for match in re.finditer(r'"([^"\n]*)"', file.code):
        start_line = file.line_of(match.start())
        text = file.text[match.start() + 1:match.end() - 1]
        text = text.replace('\\n', '\n').replace('\\"', '"')
        if joined and not file.code[last_end:match.start()].strip():
            joined[-1][1] += text
        else:
            joined.append([start_line, text])
        last_end = match.end()
    return joined


def check_literal(file, line, text):
    if file.room not in ROOMS:
        if STATEMENT.match(text):
            yield file.finding(line, 'sql-place', 'SQL stands in src/store only')
        return
    for pattern, name in SESSION:
        if pattern.search(text):
            yield file.finding(line, 'sql-session', f'{name} outlives the transaction')
    if ADVISORY.search(text) and not file.path.startswith('src/store/migrate'):
        yield file.finding(line, 'sql-session', 'session advisory locks are for migrations only')
