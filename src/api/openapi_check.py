#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml says what the server does: openapi_check.py PATH-TO-api_openapi_shapes PATH-TO-openapi.yaml.

Compares methods, paths and query members with the table of routes, and the members of each schema with what the
server writes. Every $ref must lead somewhere.
"""
import json
import subprocess
import sys

import yaml

METHODS = {"get", "post", "put", "patch", "delete"}
# Read from requests only; the server never writes it, so there is nothing to compare with.
REQUESTS_ONLY = {"PlanApproval"}


def follow(document, ref):
    node = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def refs(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def documented_routes(document):
    routes = set()
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method in METHODS & item.keys():
            parameters = [follow(document, p["$ref"]) if "$ref" in p else p
                          for p in shared + item[method].get("parameters", [])]
            query = {p["name"] for p in parameters if p["in"] == "query"}
            in_path = {p["name"] for p in parameters if p["in"] == "path"}
            wanted = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            if in_path != wanted:
                yield f"{method.upper()} {path}: parameters {sorted(in_path)}, in the path {sorted(wanted)}"
            routes.add((method.upper(), path, " ".join(sorted(query))))
    yield routes


def main():
    shapes_program, file = sys.argv[1:]
    server = json.loads(subprocess.run([shapes_program], check=True, capture_output=True, text=True).stdout)
    with open(file, encoding="utf-8") as text:
        document = yaml.safe_load(text)
    faults = []
    for ref in set(refs(document)):
        try:
            follow(document, ref)
        except KeyError:
            faults.append(f"{ref} leads nowhere")
    *wrong, documented = documented_routes(document)
    faults += wrong
    served = {(r["method"], r["path"], " ".join(sorted({"host", r["query"]} - {""}))) for r in server["routes"]}
    faults += [f"served, not documented: {' '.join(route)}" for route in sorted(served - documented)]
    faults += [f"documented, not served: {' '.join(route)}" for route in sorted(documented - served)]
    schemas = document["components"]["schemas"]
    for name in sorted((schemas.keys() ^ server["shapes"].keys()) - REQUESTS_ONLY):
        faults.append(f"schema {name}: only {'documented' if name in schemas else 'written'}")
    for name, shape in server["shapes"].items():
        members = schemas.get(name, {}).get("properties", {}).keys()
        for member in sorted(members ^ shape.keys()):
            faults.append(f"schema {name}: {member} is only {'documented' if member in members else 'written'}")
        for member in set(schemas.get(name, {}).get("required", [])) - shape.keys():
            faults.append(f"schema {name}: {member} is required and never written")
    print("\n".join(faults) or f"{len(served)} routes and {len(server['shapes'])} schemas are as documented.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
