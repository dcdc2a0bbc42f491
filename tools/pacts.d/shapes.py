"""The YAML tags of readable pacts: an example, the rule that stands for it, where its value comes from.

    acme                              exactly this
    !type acme                        any value of this type
    !regex ['a.*', acme]              a text that the expression matches from end to end
    !include [cme, acme]              a text that holds another
    !integer 7   !number 7   !decimal 7.5   !boolean true
    !notEmpty acme                    a text or bytes that are not empty
    !datetime [FORMAT, EXAMPLE]       also !date and !time
    !each {min: 1, max: 3, of: X}     a list of X
    !entries {key: X, value: Y, example: {...}}   a map whose keys are like X and whose values are like Y
    !contains [X, Y]                  a list that holds X and Y, among others, in any order
    !absent type|list|map             nothing: the default, an empty list or map, no message
    !state [NAME, X]                  the value NAME of the provider state; X is its example and rule
    !bytes TEXT                       base 64 of a bytes field
"""
import yaml


class Loader(yaml.SafeLoader):
    pass


class Node:
    def __init__(self, kind, value):
        self.kind, self.value = kind, value


class Found:
    """Rules and generators that taking the examples has brought up."""

    def __init__(self):
        self.body, self.metadata = Part("body"), Part("metadata")

    def json(self):
        out = {}
        for name in ("matchingRules", "generators"):
            parts = {part.name: getattr(part, name) for part in (self.body, self.metadata)
                     if getattr(part, name)}
            if parts:
                out[name] = parts
        return out


class Part:
    def __init__(self, name):
        self.name, self.matchingRules, self.generators = name, {}, {}

    def path(self, steps):
        if self.name == "metadata":
            return steps[-1]
        out = "$"
        for step in steps[1:]:
            if isinstance(step, int):
                out += f"[{step}]"
            elif step == "[*]":
                out += step
            elif all(c.isalnum() or c in "_-" for c in step):
                out += "." + step
            else:
                out += f"['{step}']"
        return out

    def rule(self, steps, *matchers):
        self.matchingRules[self.path(steps)] = {"combine": "AND", "matchers": list(matchers)}


for _name in ("type", "regex", "include", "integer", "number", "decimal", "boolean", "notEmpty", "datetime", "date",
              "time", "each", "entries", "contains", "absent", "state"):
    def _construct(loader, node, name=_name):
        if isinstance(node, yaml.ScalarNode):
            return Node(name, yaml.SafeLoader.construct_object(loader, _plain(node)))
        if isinstance(node, yaml.SequenceNode):
            return Node(name, loader.construct_sequence(node, deep=True))
        return Node(name, loader.construct_mapping(node, deep=True))
    Loader.add_constructor("!" + _name, _construct)


def _plain(node):
    """The scalar without its tag, so that 7 is a number and acme a text."""
    tag = yaml.resolver.Resolver().resolve(yaml.ScalarNode, node.value, (node.style is None, node.style is not None))
    return yaml.ScalarNode(tag, node.value, style=node.style)


def matcher_of(node):
    """(matcher, example) of a scalar."""
    if not isinstance(node, Node):
        return {"match": "equality"}, node
    if node.kind == "regex":
        return {"match": "regex", "regex": node.value[0]}, node.value[1]
    if node.kind == "include":
        return {"match": "include", "value": node.value[0]}, node.value[1]
    if node.kind in ("datetime", "date", "time"):
        return {"match": node.kind, "format": node.value[0]}, node.value[1]
    return {"match": node.kind}, node.value


def take(value, steps, part):
    """The example of a value; what the tags say goes into `part`."""
    if isinstance(value, dict):
        # what an Any holds lies in its `value`
        below = [*steps, "value"] if "@type" in value else steps
        return {key: item if key == "@type" else take(item, [*below, key], part) for key, item in value.items()
                if not gone(item, [*below, key], part)}
    if isinstance(value, list):
        return [take(item, [*steps, i], part) for i, item in enumerate(value)]
    if not isinstance(value, Node):
        return value
    if value.kind == "state":
        name, inner = value.value
        part.generators[part.path(steps)] = {"type": "ProviderState", "expression": "${" + name + "}"}
        return take(inner, steps, part)
    if value.kind in ("each", "entries", "contains"):
        return COLLECTIONS[value.kind](value.value, steps, part)
    matcher, example = matcher_of(value)
    part.rule(steps, matcher)
    return example


def gone(value, steps, part):
    """A field that must not be there has no example, only a rule."""
    if not isinstance(value, Node) or value.kind != "absent":
        return False
    part.rule(steps, {"match": "null"} if value.value == "message" else
              {"match": "type", "max": 0} if value.value in ("list", "map") else {"match": "equality"})
    return True


def take_each(value, steps, part):
    bounds = {name: value[name] for name in ("min", "max") if name in value}
    part.rule(steps, {"match": "type", **bounds})
    inner = value["of"]
    return [take(inner, [*steps, "[*]"], part)] if not isinstance(inner, list) else \
        [take(item, [*steps, i], part) for i, item in enumerate(inner)]


def take_entries(value, steps, part):
    matchers = []
    for name, match in (("key", "eachKey"), ("value", "eachValue")):
        if name in value:
            matcher, _ = matcher_of(value[name])
            matchers.append({"match": match, "rules": [matcher]})
    part.rule(steps, *matchers)
    return value["example"]


def take_contains(value, steps, part):
    variants, examples = [], []
    for i, item in enumerate(value):
        own = Part("body")
        examples.append(take(item, ["$"], own))
        variants.append({"index": i, "rules": own.matchingRules})
    part.rule(steps, {"match": "arrayContains", "variants": variants})
    return examples


COLLECTIONS = {"each": take_each, "entries": take_entries, "contains": take_contains}
