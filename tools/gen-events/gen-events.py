"""Makes what follows from the event payloads' option: gen/events.h and gen/events.c.

    gen-events.py DESCRIPTORS GATE_CONF OUT_ROOT

DESCRIPTORS is protoc's --descriptor_set_out of proto/tenant/events with --include_imports and
--include_source_info; GATE_CONF is contracts/schema-gate.conf, whose drafts must be those of the protos."""
import pathlib
import sys

import catalogue as events
import table


def main():
    descriptors, gate, root = (pathlib.Path(argument) for argument in sys.argv[1:])
    drafts = [line.split()[1] for line in gate.read_text().splitlines() if line.startswith("draft ")]
    catalogue = events.Catalogue(descriptors.read_bytes(), drafts)
    if catalogue.errors:
        sys.exit("\n".join(catalogue.errors))
    for name, text in (("gen/events.h", table.header(catalogue)), ("gen/events.c", table.source(catalogue))):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


main()
