"""Random JSON with matching rules, and what came instead: for holding our verdicts against Pact's core.

Not made: what DIFFERENT of test_matching.py lists (empty example lists under a rule, OR over objects), and places where
two rules weigh the same, of which the core takes the one that its hash table gives first, and rules of keys and values
beside paths with stars: of a map's place the core looks at the weightiest rule for its value, and for its keys at any
rule that stands exactly there."""
import random

SCALARS = [None, True, False, 0, 1, 7, -3, 1.5, 2.25, "", "a", "ab", "abc", "7", "true", "2026-01-02", "1.2.3"]
KEYS = ["a", "b", "c", "k 1"]
MATCHERS = [
    {"match": "equality"}, {"match": "type"}, {"match": "integer"}, {"match": "decimal"}, {"match": "number"},
    {"match": "boolean"}, {"match": "null"}, {"match": "notEmpty"}, {"match": "semver"},
    {"match": "regex", "regex": "[a-z]+"}, {"match": "regex", "regex": "\\d+(\\.\\d+)?"}, {"match": "include", "value": "b"},
    {"match": "type", "min": 1}, {"match": "type", "max": 2}, {"match": "type", "min": 1, "max": 3},
    {"match": "date", "format": "yyyy-MM-dd"}, {"match": "values"},
    {"match": "eachKey", "rules": [{"match": "regex", "regex": "[a-c]"}]},
    {"match": "eachValue", "rules": [{"match": "type"}]}, {"match": "eachValue", "rules": [{"match": "integer"}]},
]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, depth=3):
        kind = self.random.random()
        if depth == 0 or kind < 0.4:
            return self.random.choice(SCALARS)
        if kind < 0.75:
            return {key: self.value(depth - 1) for key in self.random.sample(KEYS, self.random.randint(0, 3))}
        return [self.value(depth - 1) for _ in range(self.random.randint(1, 3))]

    def case(self):
        while True:
            expected = self.value()
            rules = {}
            for _ in range(self.random.randint(0, 3)):
                steps = self.random.choice(list(places(expected)))
                rules[path(self.blur(steps))] = self.matchers()
            actual = expected
            for _ in range(self.random.randint(0, 2)):
                actual = self.changed(actual)
            # a pact whose content is null has no contents
            if expected is not None and not is_excluded(expected, actual, rules):
                return expected, rules, actual

    def matchers(self):
        count = self.random.choice([1, 1, 1, 2])
        return {"combine": "AND", "matchers": self.random.sample(MATCHERS, count)}

    def blur(self, steps):
        out = []
        for step in steps:
            if step != "$" and self.random.random() < 0.25:
                step = "[*]" if isinstance(step, int) and self.random.random() < 0.5 else "*"
            out.append(step)
        return out

    def changed(self, value):
        """One thing, somewhere, is another."""
        if isinstance(value, dict) and value and self.random.random() < 0.8:
            key = self.random.choice(list(value))
            what = self.random.random()
            if what < 0.15:
                return {k: v for k, v in value.items() if k != key}
            if what < 0.3:
                return {**value, self.random.choice(KEYS): self.value(1)}
            return {**value, key: self.changed(value[key])}
        if isinstance(value, list) and value and self.random.random() < 0.8:
            at = self.random.randrange(len(value))
            what = self.random.random()
            if what < 0.15:
                return value[:at] + value[at + 1:]
            if what < 0.3:
                return [*value, self.value(1)]
            return [*value[:at], self.changed(value[at]), *value[at + 1:]]
        return self.value(1)


def places(value, steps=("$",)):
    yield steps
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*steps, key))


def path(steps):
    out = ""
    for step in steps:
        if step == "$":
            out = "$"
        elif step == "*":
            out += ".*"
        elif step == "[*]":
            out += "[*]"
        elif isinstance(step, int):
            out += f"[{step}]"
        else:
            out += f".{step}" if " " not in step else f"['{step}']"
    return out


def parse(text):
    """The steps of a path that path() made."""
    out, at = [], 0
    while at < len(text):
        if text[at] == "$":
            out, at = ["$"], at + 1
        elif text[at] == ".":
            end = at + 1
            while end < len(text) and text[end] not in ".[":
                end += 1
            out.append(text[at + 1:end])
            at = end
        else:
            end = text.index("]", at)
            inside = text[at + 1:end]
            out.append("[*]" if inside == "*" else inside[1:-1] if inside[0] == "'" else int(inside))
            at = end + 1
    return out


def weight(rule, steps):
    if len(rule) > len(steps):
        return 0
    out = len(rule)
    for mine, theirs in zip(rule, steps):
        if mine == "*":
            continue
        if mine == "[*]":
            out *= 1 if isinstance(theirs, int) else 0
        else:
            out *= 2 if mine == theirs else 0
    return out


def is_excluded(expected, actual, rules):
    parsed = [parse(text) for text in rules]
    for value in (expected, actual):
        for steps in places(value):
            weights = sorted((weight(rule, steps) for rule in parsed), reverse=True)
            if len(weights) > 1 and weights[0] == weights[1] > 0:
                return True
    of_keys = any(one["match"] in ("eachKey", "eachValue", "values") for entry in rules.values()
                  for one in entry["matchers"])
    if of_keys and any("*" in rule or "[*]" in rule for rule in parsed):
        return True
    return any(node == [] and any(weight(rule, steps) for rule in parsed) for steps, node in nodes(expected))


def nodes(value, steps=("$",)):
    yield steps, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*steps, key))
