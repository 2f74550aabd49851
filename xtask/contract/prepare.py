"""Lays the overlay over one file of the contract: `prepare.py CONTRACT OVERLAY OUTPUT`.

The contract's files are not part of the repository and are never changed; the result is written below target/. What an
action may do stands at the head of the overlay.
"""

import copy
import fnmatch
import json
import re
import sys

import yaml


class Unfit(Exception):
    """An action that does not fit the document."""


def places(node, path):
    """Every node that the keys lead to. A key may be a pattern, or a condition such as {name: page} on the node itself."""
    if not path:
        yield node
        return
    key, rest = path[0], path[1:]
    if isinstance(key, dict):
        if isinstance(node, dict) and all(node.get(name) == value for name, value in key.items()):
            yield from places(node, rest)
    elif isinstance(node, list):
        if key == "*":
            for element in node:
                yield from places(element, rest)
    elif isinstance(node, dict):
        for name in list(node):
            if fnmatch.fnmatchcase(name, key):
                yield from places(node[name], rest)


def resolved(document, schema):
    """A schema in place of a reference to it."""
    while "$ref" in schema:
        node = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            node = node[name]
        schema = node
    return schema


def close(document, schema, narrowed):
    """allOf parts and the object's own become one object without other fields; null stands for an omitted optional one."""
    properties, required = {}, []
    for part in [*schema.pop("allOf", []), schema]:
        part = resolved(document, part)
        properties.update(copy.deepcopy(part.get("properties", {})))
        required += [name for name in part.get("required", []) if name not in required]
    for name, limits in narrowed.items():
        properties[name] = limits
    for name, value in properties.items():
        if name not in required:
            if "$ref" in value:
                properties[name] = {"anyOf": [value, {"type": "null"}]}
            else:
                value["type"] = [value["type"], "null"]
    schema.pop("discriminator", None)
    schema.update(type="object", properties=properties, required=required, additionalProperties=False)


def require(_document, schema, names):
    unknown = [name for name in names if name not in schema["properties"]]
    if unknown:
        raise Unfit(f"no such properties: {unknown}")
    schema["required"] = sorted({*schema.get("required", []), *names})


def add(_document, node, members):
    taken = [name for name in members if name in node]
    if taken:
        raise Unfit(f"already there: {taken}")
    node.update(copy.deepcopy(members))


def add_missing(_document, node, members):
    for name, value in members.items():
        node.setdefault(name, copy.deepcopy(value))


def put(_document, node, members):
    node.update(copy.deepcopy(members))


def rename(_document, node, names):
    for old, new in names.items():
        if old in node:
            node[new] = node.pop(old)


def append(_document, node, lists):
    for member, elements in lists.items():
        names = {element.get("name") for element in node[member]}
        taken = [element["name"] for element in elements if element.get("name") in names - {None}]
        if taken:
            raise Unfit(f"already there: {taken}")
        node[member] += copy.deepcopy(elements)


def drop(_document, node, members):
    for name in members:
        del node[name]


DEEDS = {
    "add": add,
    "add_missing": add_missing,
    "set": put,
    "rename": rename,
    "close": close,
    "require": require,
    "append": append,
    "drop": drop,
}


def name_of(contract):
    """The middle of a file's name, by which actions name it."""
    return re.fullmatch(r"(?:.*/)?strivacity-(.+)-api-openapi\.yml", contract).group(1)


def concerns(action, name):
    """An action without `file` is for every file; with it, for the one of this name or for those of the list."""
    files = action.get("file", name)
    return name in ([files] if isinstance(files, str) else files)


def apply(document, name, actions):
    for action in actions:
        if not concerns(action, name):
            continue
        deeds = [deed for deed in DEEDS if deed in action]
        if len(deeds) != 1 or not action.get("reason"):
            raise Unfit(f"{action}: one deed and a reason are needed")
        found, before = list(places(document, action["at"])), copy.deepcopy(document)
        try:
            for node in found:
                DEEDS[deeds[0]](document, node, action[deeds[0]])
        except (Unfit, KeyError) as error:
            raise Unfit(f"{action['at']}: {error}") from error
        if document == before and "file" in action:
            raise Unfit(f"{action['at']}: nothing to do: the action is not needed any more")


def main(contract, overlay, output):
    with open(contract, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    with open(overlay, encoding="utf-8") as file:
        actions = yaml.safe_load(file)["actions"]
    apply(document, name_of(contract), actions)
    with open(output, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Unfit as error:
        sys.exit(f"the overlay does not fit: {error}")
