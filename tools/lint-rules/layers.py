"""Who may include what, in which order; which functions belong to which rooms."""
import os
import re


class Layers:
    def __init__(self, root):
        self.rooms, self.headers, self.libc, self.calls, self.lines = {}, {}, set(), [], {}
        path = os.path.join(root, 'tools/layers')
        if not os.path.exists(path):
            path = os.path.join(os.path.dirname(__file__), '../layers')
        with open(path, encoding='utf-8') as stream:
            for number, line in enumerate(stream, 1):
                self.take(number, line.split('#')[0].strip())

    def take(self, number, line):
        if not line:
            return
        head, _, tail = line.rpartition(':')
        kind, _, name = head.partition(' ')
        if kind == 'room':
            self.rooms[name] = tail.split()
            self.lines[name] = number
        elif kind == 'header':
            self.headers[name] = tail.split()
        elif kind == 'libc':
            self.libc.update(tail.split())
        elif kind == 'call':
            self.calls.append((re.compile(r'\b(' + name + r')\s*\('), tail.split()))
        else:
            raise SystemExit(f'tools/layers:{number}: expected room, header, libc or call')

    def cycle(self):
        """A room that stands on itself, or None."""
        for room in self.rooms:
            seen, todo = set(), [r for r in self.rooms[room] if r != '*']
            while todo:
                one = todo.pop()
                if one == room:
                    return room
                if one not in seen:
                    seen.add(one)
                    todo += [r for r in self.rooms.get(one, []) if r != '*']
        return None


def check(tree):
    layers = Layers(tree.root)
    room = layers.cycle()
    if room is not None:
        yield ('tools/layers', layers.lines[room], 'layers', f'{room} stands on itself')
    for file in tree.files:
        if file.room not in layers.rooms:
            yield file.finding(1, 'layers', f'room {file.room} is not in tools/layers')
            continue
        for line, name, is_system in file.includes():
            if is_system:
                yield from check_header(layers, file, line, name)
            else:
                yield from check_room(layers, file, line, name)
        yield from check_order(layers, file)
        yield from check_calls(layers, file)


def check_room(layers, file, line, name):
    target = target_of(file, name)
    allowed = layers.rooms[file.room]
    if target == file.room or '*' in allowed or name == 'gen/errors.h':
        pass
    elif target not in layers.rooms and target != 'gen':
        if file.path.startswith('src/') or '/' in name:
            yield file.finding(line, 'layers', f'"{name}" belongs to no room')
    elif target not in allowed:
        yield file.finding(line, 'layers', f'{file.room} may not include {target} ("{name}")')
    if target != file.room and name.endswith('_int.h'):
        yield file.finding(line, 'layers', f'"{name}" is for the files of {target} only')


def target_of(file, name):
    """The room that "name" belongs to; a name without a folder is the including file's neighbour."""
    parts = name.split('/')
    if len(parts) == 1:
        return file.room
    if name.endswith('.pb-c.h'):
        return 'gen'  # found through -Igen/pb as well
    if parts[0] == 'tenant':
        return 'include'
    return '/'.join(parts[:2]) if parts[0] == 'tools' else parts[0]


def check_header(layers, file, line, name):
    known = [p for p in layers.headers if name.startswith(p)]
    if known:
        rooms = layers.headers[max(known, key=len)]
        if file.room not in rooms:
            yield file.finding(line, 'library', f'<{name}> is for {" ".join(rooms)} only')
    elif name not in layers.libc:
        yield file.finding(line, 'library', f'<{name}> is not in tools/layers')


OWN, BASE, ROOMS, LIBRARIES, LIBC = range(5)
GROUPS = ['own header', 'base', 'rooms', 'libraries', 'libc']


def group_of(layers, file, name, is_system, last_group):
    """The own room's headers may come first, all together, or among the rooms; gen/errors.h goes with
    either neighbour."""
    if is_system:
        prefixes = [p for p in layers.headers if name.startswith(p)]
        is_library = bool(prefixes) and not is_posix(max(prefixes, key=len))
        return LIBRARIES if is_library else LIBC
    if last_group in (None, OWN) and target_of(file, name) == file.room:
        return OWN
    if name == 'gen/errors.h' and last_group == ROOMS:
        return ROOMS
    return BASE if name.startswith('base/') or name == 'gen/errors.h' else ROOMS


def is_posix(prefix):
    return prefix.startswith(('sys/', 'netinet/', 'arpa/', 'netdb', 'ucontext'))


def check_order(layers, file):
    """Groups in order, a blank line between them, sorted inside.  Conditional includes end the check."""
    last_group, last_line, last_name = None, 0, ''
    for line, name, is_system in file.includes():
        between = file.code_lines[last_line:line - 1] if last_line else []
        if any(text.strip() for text in between):
            return
        group = group_of(layers, file, name, is_system, last_group)
        has_blank = any(not text.strip() for text in file.text.split('\n')[last_line:line - 1])
        if last_group is None:
            pass
        elif group < last_group:
            yield file.finding(line, 'include-order',
                               f'{GROUPS[group]} come before {GROUPS[last_group]}')
        elif group != last_group and not has_blank and not (
                file.is_header and (last_group, group) == (OWN, ROOMS)):
            yield file.finding(line, 'include-order',
                               f'expected a blank line between {GROUPS[last_group]} and {GROUPS[group]}')
        elif group == last_group and group != OWN and not has_blank and name < last_name:
            yield file.finding(line, 'include-order', f'{name} stands before {last_name}')
        last_group, last_line, last_name = group, line, name


def check_calls(layers, file):
    for number, text in enumerate(file.code_lines, 1):
        for pattern, places in layers.calls:
            match = pattern.search(text)
            if match and file.room not in places and file.path not in places:
                yield file.finding(number, 'call-place',
                                   f'{match.group(1)} is for {" ".join(places)} only')
