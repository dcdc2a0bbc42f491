"""What the service must answer, as simply as it can be said: dictionaries and the rules of the contract.

A World holds the tenants of one sequence of operations.  Each method returns ("ok", tenant), or
("refused", reason); it changes the world only where the service would."""
import copy

TRIAL, ACTIVE, SUSPENDED, CLOSED = 1, 2, 3, 4
ALLOWED = {TRIAL: {ACTIVE, SUSPENDED, CLOSED}, ACTIVE: {SUSPENDED, CLOSED},
           SUSPENDED: {ACTIVE, CLOSED}, CLOSED: set()}
TARGET = {"Suspend": SUSPENDED, "Reactivate": ACTIVE, "Close": CLOSED}
FORMER_SLUGS_KEPT = 10
RESERVED = {"admin", "www"}


class Refused(Exception):
    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class Tenant:
    """version 1 is the tenant as created; every change adds one."""

    def __init__(self, slug, name, labels, plan):
        self.slug, self.name, self.labels, self.plan = slug, name, dict(labels), plan
        self.status, self.version = TRIAL, 1
        self.former = []


class World:
    def __init__(self):
        self.tenants = {}  # number in this sequence → Tenant
        self.answers = {}  # (method, tenant or None, key) → (request, answer)
        self.transitions = set()

    def owner(self, slug):
        for number, tenant in self.tenants.items():
            if tenant.slug == slug or slug in tenant.former:
                return number
        return None

    def keyed(self, method, number, key, request, change):
        """Runs `change` unless the key has an answer."""
        place = (method, number, key)
        if key is not None and place in self.answers:
            before, answer = self.answers[place]
            if before != request:
                raise Refused("IDEMPOTENCY_REPLAY_MISMATCH")
            return answer
        answer = change()
        if key is not None:
            self.answers[place] = (request, answer)
        return answer

    def create(self, key, request):
        if request["region"] not in ("us", "eu", "me", "ap", ""):
            raise Refused("INVALID_REGION")
        check_fields(request)
        check_plan(request["plan"])
        if request["region"] != "eu":
            raise Refused("WRONG_REGION")

        def change():
            if self.owner(request["slug"]) is not None:
                raise Refused("SLUG_TAKEN")
            number = len(self.tenants)
            self.tenants[number] = Tenant(request["slug"], request["name"], request["labels"], request["plan"])
            return number, copy.deepcopy(self.tenants[number])

        return self.keyed("Create", None, key, request, change)

    def update(self, number, key, request):
        tenant = self.tenants[number]

        def change():
            if request["etag"] not in (None, tenant.version):
                raise Refused("VERSION_CONFLICT")
            if tenant.status == CLOSED:
                raise Refused("INVALID_STATUS_TRANSITION")
            if request.get("region") not in (None, "eu"):
                raise Refused("HOME_REGION_IMMUTABLE")
            wanted = {field: request[field] for field in ("slug", "name", "labels", "plan") if field in request}
            changed = {field: value for field, value in wanted.items() if getattr(tenant, field) != value}
            if "slug" in changed and changed["slug"] in RESERVED or changed.get("name") == "":
                raise Refused("INVALID_ARGUMENT")
            check_plan(changed.get("plan", ""))
            if "slug" in changed and self.owner(changed["slug"]) not in (None, number):
                raise Refused("SLUG_TAKEN")
            if "slug" in changed:
                tenant.former = [s for s in tenant.former if s != changed["slug"]] + [tenant.slug]
                tenant.former = tenant.former[-FORMER_SLUGS_KEPT:]
            for field, value in changed.items():
                setattr(tenant, field, copy.deepcopy(value))
            tenant.version += 1 if changed else 0
            return number, copy.deepcopy(tenant)

        return self.keyed("Update", number, key, request, change)

    def change_status(self, verb, number, key, request):
        tenant = self.tenants[number]
        if len(request["reason"]) > 512:
            raise Refused("INVALID_ARGUMENT")

        def change():
            if request["etag"] not in (None, tenant.version):
                raise Refused("VERSION_CONFLICT")
            if TARGET[verb] not in ALLOWED[tenant.status]:
                raise Refused("INVALID_STATUS_TRANSITION")
            self.transitions.add((tenant.status, TARGET[verb]))
            tenant.status = TARGET[verb]
            tenant.version += 1
            return number, copy.deepcopy(tenant)

        return self.keyed(verb, number, key, request, change)

    def lookup(self, slug):
        for number, tenant in self.tenants.items():
            if tenant.slug == slug:
                return number
        raise Refused("TENANT_NOT_FOUND")


def check_fields(request):
    if request["slug"] in RESERVED or len(request["slug"]) < 3 or "" in (request["name"], request["region"]):
        raise Refused("INVALID_ARGUMENT")


def check_plan(plan):
    if plan and not plan.startswith("plan_"):
        raise Refused("INVALID_PLAN")
