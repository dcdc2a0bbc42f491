"""Makes what follows from the event payloads' option: the table of event types, the catalogue, the schema registry.

    gen-events.py DESCRIPTORS TREE OUT_ROOT

DESCRIPTORS is protoc's --descriptor_set_out of proto/tenant/events with --include_imports and --include_source_info.
From the TREE come VERSION, the drafts of contracts/schema-gate.conf, the examples of contracts/golden and what the
registry holds already.  Writes gen/events.[ch], gen/schemas.[ch], docs/events.md, contracts/asyncapi.yaml and
contracts/schemas below OUT_ROOT."""
import json
import pathlib
import sys

import asyncapi
import catalogue as events
import examples
import page
import registry
import table


def main():
    descriptors, tree, root = (pathlib.Path(argument) for argument in sys.argv[1:])
    catalogue = events.Catalogue(descriptors.read_bytes(), events.gate_drafts(tree))
    stop_at(catalogue.errors)
    schemas = registry.Registry(catalogue, tree)
    stop_at(schemas.errors)
    payloads = examples.Examples(catalogue, tree / "contracts/golden")
    stop_at(payloads.errors)
    files = {
        "gen/events.h": table.header(catalogue), "gen/events.c": table.source(catalogue),
        "gen/schemas.h": registry.HEADER, "gen/schemas.c": registry.source(schemas),
        "docs/events.md": page.page(catalogue, payloads.texts),
        "contracts/asyncapi.yaml": asyncapi.document(
            catalogue, (tree / "VERSION").read_text().strip(),
            {subject: (payloads.envelope(subject), json.loads(text)) for subject, text in payloads.texts.items()}),
        **schemas.files()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def stop_at(errors):
    if errors:
        sys.exit("\n".join(errors))


main()
