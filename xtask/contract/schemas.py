"""Holds the published JSON Schemas against what JSON Schema is, with a validator that is not ours: `schemas.py BASE EVENTS`.

BASE is a running server; EVENTS is docs/EVENTS.md, whose examples must fit, and must not when something is wrong.
"""

import json
import re
import sys
import urllib.request

import jsonschema_rs


def read(address):
    # No proxy of the environment stands between this and a server on the same machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=30) as answer:
        return json.load(answer)


def main(base, events):
    schemas = {}
    for entry in read(f"{base}/schemas/")["schemas"]:
        schema = read(base + entry["path"])
        jsonschema_rs.meta.validate(schema)
        name = entry["path"].rsplit("/", 1)[-1]
        schemas[name] = jsonschema_rs.validator_for(schema, validate_formats=True)
    with open(events, encoding="utf-8") as file:
        page = file.read()
    posted = [json.loads(block) for block in re.findall(r"```json post\n(.*?)\n```", page, re.S)]
    [document] = [json.loads(block) for block in re.findall(r"```json document\n(.*?)\n```", page, re.S)]
    cases = [(schemas["intake-event.json"], event) for event in posted] + [(schemas["account-event.json"], document)]
    for schema, value in cases:
        schema.validate(value)
        for name in value:
            if name in ("nativeClaims", "raw", "request", "response"):
                continue
            assert not schema.is_valid({**value, name: [[7]]}), f"{name} may be anything"
    print(f"{len(schemas)} schemas are JSON Schemas, and {len(cases)} examples fit them")


if __name__ == "__main__":
    main(*sys.argv[1:])
