"""Events from the streams to a handler: libtenant-events with positions kept by callbacks, against plain subscribers of
nats.c, one after the other on the same events.  The handler sums the bytes; both sums must agree."""
import os

import lab
import part_relay

TENANTS = 960
EACH = 150
EVENTS = TENANTS * EACH


def where():
    return os.environ["STACK_NATS_URL"], os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"]


def run(report, rounds):
    lab.tenants_need(TENANTS)
    rounds = min(rounds, 3)
    envelope = lab.OUT / "consumer.envelope"
    envelope.write_text(part_relay.sample_payload(), "ascii")
    filled = lab.program("event_source", *where(), envelope, TENANTS, EACH)
    runs = {"pull": [], "push": [], "library": []}
    try:
        for _ in range(rounds):
            for kind in ("pull", "push"):
                runs[kind].append(lab.program("plain_subscriber", *where(), kind, EVENTS))
            runs["library"].append(lab.program("consume", *where(), lab.OUT / "consumer.positions", EVENTS))
    finally:
        lab.program("event_source", *where(), envelope, 0, 0)  # the relay would wonder whose these are
    sums = {one["sum"] for those in runs.values() for one in those}
    if len(sums) != 1:
        raise lab.Failed(f"not all saw the same bytes: {runs}")
    ratio = lab.median([one["events_per_s"] / max(pull["events_per_s"], push["events_per_s"])
                        for one, pull, push in zip(runs["library"], runs["pull"], runs["push"])])
    rate = {name: lab.median_of(those, "events_per_s") for name, those in runs.items()}
    cpu = {name: lab.median_of(those, "cpu_us_per_event") for name, those in runs.items()}
    report.goal("consumer: events per second / plain nats.c", ratio, "≥", 0.8, "",
                f"{rate['library']:,.0f} /s / the better of pull {rate['pull']:,.0f} and push {rate['push']:,.0f} /s; "
                f"{EVENTS:,} events of {filled['bytes']} bytes, 16 streams, explicit acks, positions batched by callbacks")
    report.figure("  consumer: CPU per event", cpu["library"], "µs",
                  f"pull {cpu['pull']:.1f} µs, push {cpu['push']:.1f} µs; all threads of the process, TLS included")
    return {"runs": runs}
