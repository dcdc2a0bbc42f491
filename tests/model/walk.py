"""Random sequences of operations against two replicas of the real server; every answer is the model's.

    walk.py --sequences 1000 [--seed N] [--operations 24]

A read without a token may be as old as the freshness that is promised, on the replica that did not write;
with a token, or on the replica that wrote, it is the newest.  Closes with `N passed, N failed`."""
import argparse
import collections
import concurrent.futures
import copy
import os
import pathlib
import random
import sys
import threading
import time
import traceback

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import conftest  # noqa: E402,F401  makes the protos' Python
from support import Refusal, Service, Stack, header  # noqa: E402
from tenant.v1 import tenants_pb2 as pb  # noqa: E402

import model  # noqa: E402

FRESHNESS_S = 0.2
UNKNOWN = "tnt_01H455VB4PEX5VSKNK084SN02Q"
WANTED_REASONS = {
    "INVALID_ARGUMENT", "INVALID_REGION", "INVALID_PLAN", "WRONG_REGION", "TENANT_NOT_FOUND", "SLUG_TAKEN",
    "HOME_REGION_IMMUTABLE", "INVALID_STATUS_TRANSITION", "VERSION_CONFLICT", "TENANT_MISMATCH",
    "TENANT_HEADER_REQUIRED", "CALLER_NOT_ALLOWED", "METADATA_INVALID", "IDEMPOTENCY_REPLAY_MISMATCH"}
WANTED_TRANSITIONS = {(a, b) for a, targets in model.ALLOWED.items() for b in targets}


class Wrong(AssertionError):
    pass


class Walk:
    """One sequence: its own slugs, its own label, its own tenants."""

    def __init__(self, services, seed):
        self.random = random.Random(seed)
        self.services = services
        self.mark = f"w{seed}x{time.time_ns():x}"
        self.slugs = [f"{self.mark}-{i}" for i in range(4)]
        self.world = model.World()
        self.ids = {}        # number → tenant id
        self.tokens = {}     # number → the last token
        self.wrote = {}      # number → replica of the last write
        self.history = collections.defaultdict(list)  # number → [(acknowledged, state)]
        self.bytes = {}      # (method, number, key) → the first answer's bytes
        self.keys = [f"{self.mark}-k{i}" for i in range(5)]
        self.reasons = collections.Counter()
        self.log = []

    def run(self, operations):
        steps = [self.create] * 3 + [self.update] * 6 + [self.status] * 4 + [self.get] * 5 + \
            [self.lookup] * 2 + [self.list] * 2 + [self.trespass] * 2
        self.create()
        for _ in range(operations - 1):
            self.random.choice(steps)()

    # --- operations -----------------------------------------------------------------------------------

    def create(self):
        pick = self.random
        request = {
            "slug": pick.choice(self.slugs * 6 + ["admin", "ab"]), "name": pick.choice(["Acme", "Bcme", "Ccme"] * 4 + [""]),
            "region": pick.choice(["eu"] * 12 + ["us", "mars", ""]), "labels": self.labels(),
            "plan": pick.choice(["", "", "plan_pro", "plan_pro", "gold"])}
        key = pick.choice([None] + self.keys)
        message = pb.CreateTenantRequest(tenant=pb.Tenant(
            slug=request["slug"], display_name=request["name"], home_region=request["region"],
            labels=request["labels"], plan=self.plan(request["plan"])))
        self.write("Create", None, key, message, lambda: self.world.create(key, request))

    def update(self):
        number = self.any_tenant()
        if number is None:
            return
        pick = self.random
        request, tenant = {}, pb.Tenant(tenant_id=self.ids[number])
        request["etag"] = self.etag(number)
        fields = pick.sample(["slug", "name", "labels", "plan", "region"], pick.randint(1, 2))
        paths = []
        if "slug" in fields:
            request["slug"] = tenant.slug = pick.choice(self.slugs * 6 + ["www"])
            paths.append("slug")
        if "name" in fields:
            request["name"] = tenant.display_name = pick.choice(["Acme", "Bcme", "Ccme"] * 5 + [""])
            paths.append("display_name")
        if "labels" in fields:
            request["labels"] = self.labels()
            tenant.labels.update(request["labels"])
            paths.append("labels")
        if "plan" in fields:
            request["plan"] = pick.choice(["plan_pro", "plan_free", "plan_pro", "plan_free", "gold"])
            tenant.plan.plan_id = request["plan"]
            paths.append("plan.plan_id")
        if "region" in fields:
            request["region"] = tenant.home_region = pick.choice(["eu", "eu", "us"])
            paths.append("home_region")
        if request["etag"] is not None:
            tenant.etag = f'"{request["etag"]}"'
        key = pick.choice([None] + self.keys)
        message = pb.UpdateTenantRequest(tenant=tenant)
        message.update_mask.paths.extend(paths)
        self.write("Update", number, key, message, lambda: self.world.update(number, key, request))

    def status(self):
        number = self.any_tenant()
        if number is None:
            return
        pick = self.random
        verb = pick.choice(["Suspend", "Suspend", "Reactivate", "Reactivate", "Reactivate", "Close"])
        request = {"etag": self.etag(number), "reason": pick.choice(["", "why", "why", "x" * 513])}
        key = pick.choice([None] + self.keys)
        message = getattr(pb, f"{verb}TenantRequest")(tenant_id=self.ids[number], reason=request["reason"])
        if request["etag"] is not None:
            message.etag = f'"{request["etag"]}"'
        self.write(verb, number, key, message,
                   lambda: self.world.change_status(verb, number, key, request))

    def get(self):
        number = self.any_tenant()
        if number is None:
            return self.expect_refusal("GetTenant", pb.GetTenantRequest(tenant_id=UNKNOWN), "TENANT_NOT_FOUND")
        self.read(number, "GetTenant", pb.GetTenantRequest(tenant_id=self.ids[number]), lambda r: r.tenant)

    def lookup(self):
        slug = self.random.choice(self.slugs)
        try:
            number = self.world.lookup(slug)
        except model.Refused:
            return  # who had it just before may still be answered: covered by tests of their own
        if len(self.history[number]) > 1:
            return self.read_with_token(number, "LookupTenant", pb.LookupTenantRequest(slug=slug), lambda r: r.tenant)
        self.read(number, "LookupTenant", pb.LookupTenantRequest(slug=slug), lambda r: r.tenant)

    def list(self):
        """Lists go to the primary: always the newest."""
        replica = self.random.randrange(2)
        status = self.random.choice([None, "trial", "active", "suspended", "closed"])
        wanted = f'slug = "{self.mark}-*"' + (f" AND status = {status}" if status else "")
        found, token = [], ""
        while True:
            page, _, _ = self.ask(replica, "ListTenants",
                                  pb.ListTenantsRequest(filter=wanted, page_size=2, page_token=token))
            found += page.tenants
            token = page.next_page_token
            if not token:
                break
        chosen = [n for n, t in self.world.tenants.items()
                  if status is None or t.status == ["", "trial", "active", "suspended", "closed"].index(status)]
        self.note("List", wanted, [t.tenant_id for t in found])
        if [t.tenant_id for t in found] != [self.ids[n] for n in chosen]:
            raise Wrong(f"list {wanted}: {[t.slug for t in found]}, not {chosen}")
        for tenant, number in zip(found, chosen):
            self.same(number, tenant, self.world.tenants[number])

    def trespass(self):
        """What nobody may do, whatever the state."""
        number = self.any_tenant()
        if number is None:
            return
        mine = pb.GetTenantRequest(tenant_id=self.ids[number])
        others = [(UNKNOWN, "TENANT_MISMATCH")] + [(self.ids[n], "TENANT_MISMATCH") for n in self.ids if n != number]
        wrong, reason = self.random.choice(others)
        choice = self.random.randrange(4)
        if choice == 0:
            self.expect_refusal("GetTenant", mine, reason, "api-gateway", header(wrong))
        elif choice == 1:
            self.expect_refusal("GetTenant", mine, "TENANT_HEADER_REQUIRED", "api-gateway")
        elif choice == 2:
            self.expect_refusal("CloseTenant", pb.CloseTenantRequest(tenant_id=self.ids[number]),
                                "CALLER_NOT_ALLOWED", "api-gateway", header(self.ids[number]))
        else:
            self.expect_refusal("GetTenant", mine, "METADATA_INVALID",
                                metadata=(("x-consistency-token", "forged"),))

    # --- how they are judged ---------------------------------------------------------------------------

    def write(self, verb, number, key, message, expected):
        replica = self.random.randrange(2)
        metadata = (("idempotency-key", key),) if key else ()
        place = (verb, number, key)
        before = self.world.answers.get(place) if key else None
        try:
            want_number, want = expected()
            reason = None
        except model.Refused as refusal:
            reason = refusal.reason
        self.note(verb, number, key, str(message).replace("\n", " "), "->", reason or "ok", "replica", replica)
        if reason is not None:
            return self.expect_refusal(f"{verb}Tenant", message, reason, metadata=metadata, replica=replica)
        answer, data, head = self.ask(replica, f"{verb}Tenant", message, metadata=metadata)
        if before is not None:
            if data != self.bytes[place] or head.get("idempotency-replayed") != "true":
                raise Wrong(f"{place}: the repeat was not answered with the stored bytes")
            return
        if head.get("idempotency-replayed"):
            raise Wrong(f"{place}: replayed a first call")
        if verb == "Create":
            self.ids[want_number] = answer.tenant.tenant_id
        if key:
            self.bytes[place] = data
        self.same(want_number, answer.tenant, want)
        self.tokens[want_number] = head["x-consistency-token"]
        history = self.history[want_number]
        if not history or history[-1][1].version != want.version:
            self.wrote[want_number] = replica
            history.append((time.monotonic(), want))

    def read(self, number, method, message, tenant_of):
        if self.random.random() < 0.5:
            return self.read_with_token(number, method, message, tenant_of)
        replica, asked = self.random.randrange(2), time.monotonic()
        answer, _, head = self.ask(replica, method, message)
        tenant = tenant_of(answer)
        history = self.history[number]
        possible = [history[-1][1]]
        if replica != self.wrote[number]:
            for i in range(len(history) - 1):
                if asked - history[i + 1][0] <= FRESHNESS_S:  # when it was superseded
                    possible.append(history[i][1])
        self.note(method, number, "replica", replica, "version", tenant.etag, head.get("x-source"))
        for state in possible:
            if tenant.etag == f'"{state.version}"':
                return self.same(number, tenant, state)
        raise Wrong(f"{method} of {number}: version {tenant.etag}, possible were "
                    f"{[s.version for s in possible]} ({head.get('x-source')}, {head.get('x-staleness-ms')} ms)")

    def read_with_token(self, number, method, message, tenant_of):
        metadata = (("x-consistency-token", self.tokens[number]),)
        answer, _, head = self.ask(self.random.randrange(2), method, message, metadata=metadata)
        self.note(method, number, "with token", tenant_of(answer).etag, head.get("x-source"))
        self.same(number, tenant_of(answer), self.world.tenants[number])

    def same(self, number, tenant, state):
        got = (tenant.tenant_id, tenant.slug, tenant.display_name, dict(tenant.labels), tenant.plan.plan_id,
               tenant.status, tenant.etag)
        want = (self.ids[number], state.slug, state.name, state.labels, state.plan, state.status,
                f'"{state.version}"')
        if got != want:
            raise Wrong(f"tenant {number} is {got}, should be {want}")

    def expect_refusal(self, method, message, reason, identity="admin", metadata=(), replica=None):
        replica = self.random.randrange(2) if replica is None else replica
        try:
            answer = self.ask(replica, method, message, identity, metadata)
        except grpc.RpcError as error:
            got = Refusal(error)
            if got.reason != reason:
                raise Wrong(f"{method}: refused with {got}, should be {reason}")
            self.reasons[reason] += 1
            return
        raise Wrong(f"{method}: answered {answer[0]}, should be {reason}")

    def ask(self, replica, method, message, identity="admin", metadata=()):
        rpc = self.services[replica].rpcs[identity, method]
        (response, data), call = rpc.with_call(message, metadata=metadata, timeout=20)
        return response, data, dict(call.initial_metadata())

    # --- choices -----------------------------------------------------------------------------------------

    def any_tenant(self):
        return self.random.choice(list(self.ids)) if self.ids else None

    def etag(self, number):
        version = self.world.tenants[number].version
        return self.random.choice([None, None, version, version, version + 1, max(version - 1, 0)])

    def labels(self):
        return {name: self.random.choice(["1", "2"]) for name in self.random.sample(["a", "b", "c"], self.random.randrange(3))}

    def plan(self, plan_id):
        return pb.Plan(plan_id=plan_id) if plan_id else None

    def note(self, *words):
        self.log.append(" ".join(str(word) for word in words))


def stubs(service):
    service.rpcs = {}
    for identity in ("admin", "api-gateway"):
        for name in ("CreateTenant", "GetTenant", "LookupTenant", "UpdateTenant", "ListTenants", "SuspendTenant",
                     "ReactivateTenant", "CloseTenant"):
            kind = getattr(pb, f"{name}Response")
            service.rpcs[identity, name] = service.channel(identity).unary_unary(
                f"/tenant.v1.TenantService/{name}", request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=lambda data, kind=kind: (kind.FromString(data), data))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sequences", type=int, default=1000)
    arguments.add_argument("--operations", type=int, default=24)
    arguments.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments.add_argument("--callers", type=int, default=24)
    options = arguments.parse_args()
    stack = Stack(dict(os.environ))
    services = [Service(stack), Service(stack)]
    for service in services:
        stubs(service)
    print(f"{options.sequences} sequences of {options.operations} operations, seed {options.seed}", flush=True)
    reasons, transitions, done, failed = collections.Counter(), set(), 0, 0
    lock = threading.Lock()

    def one(index):
        nonlocal done, failed
        walk = Walk(services, options.seed + index)
        try:
            walk.run(options.operations)
        except Exception as error:
            with lock:
                failed += 1
                if failed <= 3:
                    print(f"sequence {options.seed + index}: {error!r}", *walk.log[-12:], sep="\n    ", flush=True)
                    if not isinstance(error, Wrong):
                        traceback.print_exc()
        with lock:
            done += 1
            reasons.update(walk.reasons)
            transitions.update(walk.world.transitions)
            if done % 1000 == 0:
                print(f"{done} sequences, {failed} wrong", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.callers) as pool:
        list(pool.map(one, range(options.sequences)))
    statuses = [service.stop() for service in services]
    print("refusals:", ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())))
    checks = {"every refusal reason was hit": WANTED_REASONS - set(reasons),
              "every transition was made": WANTED_TRANSITIONS - transitions,
              "both replicas ended well": {status for status in statuses if status != 0}}
    for name, missing in checks.items():
        print(f"{'FAILED' if missing else 'ok    '}  {name}{': ' + str(missing) if missing else ''}")
        failed += bool(missing)
    passed = options.sequences + len(checks) - failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
