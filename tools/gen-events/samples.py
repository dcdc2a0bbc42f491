"""Messages to show and to test with: full ones that read like real ones, and extreme ones."""
import wire

TEXTS = {
    "addons": ["ai_tutor", "proctoring"], "allowed_locales": ["ar", "en", "fr"], "agent_id": "", "email": "jo@acme.example",
    "correlation_id": "req_01M86AT6EEY8JQ0N4E6F7G8H9J", "consistency_token": "AQEAAAABk5tsjAAAAAAAAAAAKg",
    "causation_id": "evt_01M86AT6EEV3M5X7K9QW1R2T4Y", "data_residency": "eu", "default_locale": "en", "description": "what it is",
    "display_name": "Acmé Learning", "domain": "tenant.ghasi.io", "domains": ["acme.example", "acme.test"],
    "etag": '"3"', "event_id": "evt_01M86AT6EEQ2W4E6R8T0Y1V3P5", "event_type": "tenant.org.updated",
    "filter": 'status = "active" AND labels.env = "prod"', "flag_key": "editor.new_toolbar", "home_region": "eu",
    "id": "api-gateway", "instance": "tenant-service-7d4f9c6b5-x2x8k", "commit": "0f5e4c2a9b71", "locale": "en",
    "idempotency_key": "01M86AT6EEAAAA5X7K9QW1R2T4", "issuer": "https://idp.acme.example", "key_id": "k2",
    "name": "tenant-service", "next_page_token": "AQIDBA", "order_by": "create_time desc", "page_token": "AQIDBA",
    "operation_id": "opr_01M83K8NFVM00000000000000A", "owner": "platform", "partition_key": "tnt_01M83K8NFVE008000000000000",
    "plan_id": "plan_pro", "reason": "invoice 4711 is unpaid", "retention_class": "operational", "saga_id": "sga_01M83K8NFVN00000000000000A",
    "schema_uri": "", "service": "tenant-service", "slug": "acme", "source_region": "eu", "target_region": "me",
    "tenant_id": "tnt_01M83K8NFVE008000000000000", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "user_id": "usr_01M83K8NFVP00000000000000A", "membership_id": "mbr_01M83K8NFVB00000000000000A",
    "invitation_id": "inv_01M83K8NFVC00000000000000A", "invited_by": "usr_01M83K8NFVD00000000000000A",
    "role_id": "rol_01M83K8NFVE00000000000000A", "org_unit_id": "org_01M83K8NFVF00000000000000A",
    "dynamic_group_id": "grp_01M83K8NFVG00000000000000A", "override_id": "flg_01M83K8NFVH00000000000000A",
    "sso_config_id": "sso_01M83K8NFVJ00000000000000A", "parent_id": "org_01M83K8NFVK00000000000000A",
    "previous_parent_id": "", "path": "org_01M83K8NFVK00000000000000A.org_01M83K8NFVF00000000000000A",
    "previous_path": "org_01M83K8NFVF00000000000000A", "unit_type": "department", "permission": "memberships.read",
    "resource": "memberships", "action": "read", "string_value": "variant-b", "detail": "checksum of table memberships",
    "expression": '{"args":[{"attr":"ctx.tenant_id"},{"attr":"membership.tenant_id"}],"op":"eq"}',
    "changed_fields": ["display_name", "settings.mfa_required"], "type_url": "",
    "role_ids": ["rol_01M83K8NFVE00000000000000A"], "org_unit_ids": ["org_01M83K8NFVF00000000000000A"],
    "org_unit_paths": ["org_01M83K8NFVK00000000000000A.org_01M83K8NFVF00000000000000A"],
    "added_permissions": ["memberships.read"], "removed_permissions": ["memberships.write"],
    "added_role_ids": ["rol_01M83K8NFVE00000000000000A"], "removed_role_ids": ["rol_01M83K8NFVQ00000000000000A"],
    "added_org_unit_ids": ["org_01M83K8NFVF00000000000000A"], "removed_org_unit_ids": ["org_01M83K8NFVK00000000000000A"],
    "added_membership_ids": ["mbr_01M83K8NFVB00000000000000A"], "removed_membership_ids": ["mbr_01M83K8NFVR00000000000000A"],
    "certificate_fingerprints": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    "paths": ["display_name", "settings.mfa_required"],
}
MAPS = {"labels": {"env": "prod", "team": "núcleo"}, "metadata": {"tenant_id": "tnt_01M83K8NFVE008000000000000"},
        "branding_theme": {"logo_url": "https://cdn.acme.example/logo.svg", "primary_color": "#0a7f5a"},
        "attribute_mappings": {"mail": "email"}, "role_mappings": {"admins": "rol_01M83K8NFVE00000000000000A"}}
# By message and path, where the rules above would say something odd.
OVERRIDES = {
    "OrgProvisioned": {"tenant.status": 1, "tenant.etag": '"1"', "tenant.update_time": "2026-11-23T07:00:00.123456Z"},
    "OrgSuspended": {"tenant.status": 3, "previous_status": 2},
    "OrgReactivated": {"tenant.status": 2, "previous_status": 3, "reason": "invoice 4711 is paid"},
    "OrgClosed": {"tenant.status": 4, "previous_status": 3, "reason": "contract ended"},
    "ErrorInfo": {"reason": "TENANT_NOT_FOUND"}, "Status": {"code": 5, "message": "TENANT_NOT_FOUND: there is no such tenant"},
    "EventActor": {"type": "service"}, "EventEnvelope": {"actor.type": "service", "event_version": 1, "incarnation": 1},
    "EventWithheld": {"event_version": 1, "cause": "TOO_LARGE", "detail": "1572864 bytes; the server takes 1048576"},
    "OrgUnitMoved": {"org_unit.etag": '"4"'},
    "MembershipInvited": {"membership.status": 1, "membership.source": 1, "membership.etag": '"1"',
                          "membership.update_time": "2026-11-23T07:00:00.123456Z"},
    "MembershipActivated": {"membership.source": 1},
    "MembershipSuspended": {"membership.status": 3, "reason": "on leave until March"},
    "MembershipReactivated": {"membership.status": 2, "reason": "back from leave"},
    "MembershipRemoved": {"membership.status": 4, "previous_status": 3, "reason": "left the company"},
}
TIMES = {"create_time": "2026-11-23T07:00:00.123456Z", "update_time": "2026-11-24T08:30:00.654321Z",
         "occurred_at": "2026-11-24T08:30:00.654321Z", "ingested_at": "2026-11-24T08:30:00.661042Z"}
TIME = "2026-11-24T09:00:00Z"
LONGEST = "\x01\t\"\\/\u00e9\u0800\ud7ff\uffff\U0001f600\U0010ffff\u2028" + "x" * 40
EXTREMES = {1: 1.7976931348623157e308, 2: 3.4028234663852886e38, 3: -2 ** 63, 4: 2 ** 64 - 1, 5: -2 ** 31, 6: 2 ** 64 - 1,
            7: 2 ** 32 - 1, 8: True, 9: LONGEST, 12: bytes(range(256)), 13: 2 ** 32 - 1, 14: 2 ** 31 - 1, 15: -2 ** 31,
            16: -2 ** 63, 17: -2 ** 31, 18: -2 ** 63}
ZEROES = {8: False, 9: "", 12: b""}


class Samples:
    def __init__(self, classes):
        self.classes = classes  # full name → class

    def full(self, name):
        """Every field set."""
        message = self.fill(self.classes[name]())
        for path, value in OVERRIDES.get(message.DESCRIPTOR.name, {}).items():
            self.put(message, path.split("."), value)
        return message

    def put(self, message, path, value):
        for part in path[:-1]:
            message = getattr(message, part)
        last = getattr(message, path[-1])
        if hasattr(last, "FromJsonString"):
            last.FromJsonString(value)
        else:
            setattr(message, path[-1], value)

    def fill(self, message):
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Any":
            message.Pack(self.full("google.rpc.ErrorInfo"))
            return message
        for field in sorted(message.DESCRIPTOR.fields, key=lambda field: field.number):
            oneof = field.containing_oneof
            if oneof is None or oneof.fields[-1] is field:
                self.fill_field(message, field)
        return message

    def fill_field(self, message, field):
        value = getattr(message, field.name)
        if wire.is_entry(field):
            for key, text in MAPS.get(field.name, {"one": "1", "two": "2"}).items():
                if hasattr(value[key], "DESCRIPTOR"):
                    self.fill(value[key])
                else:
                    value[key] = text
        elif field.label == field.LABEL_REPEATED:
            if field.message_type is not None:
                self.fill(value.add())
            else:
                value.extend(self.scalars(field))
        elif field.message_type is None:
            setattr(message, field.name, self.scalars(field)[0])
        elif field.message_type.full_name == "google.protobuf.Timestamp":
            value.FromJsonString(TIMES.get(field.name, TIME))
        else:
            value.SetInParent()
            self.fill(value)

    def scalars(self, field):
        if field.enum_type is not None:
            if field.name == "type":
                return [1]
            return [field.enum_type.values[min(2, len(field.enum_type.values) - 1)].number]
        if field.type == field.TYPE_STRING:
            text = TEXTS.get(field.name, field.name.replace("_", " "))
            return text if isinstance(text, list) else [text or field.name]
        if field.type == field.TYPE_BYTES:
            return [bytes([127, 0, 0, 1])]
        if field.type == field.TYPE_BOOL:
            return [True]
        if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
            return [0.25]
        return [{"page_size": 50, "sequence": 42, "language_version": 1, "nanos": 500000000}.get(field.name, 7)]

    def unknown_enums(self, message):
        """Every enum has a value that is not in the schema."""
        for field, value in message.ListFields():
            if field.enum_type is not None:
                if field.label == field.LABEL_REPEATED:
                    value[:] = [99999] * len(value)
                else:
                    setattr(message, field.name, 99999)
            elif field.message_type is not None and not wire.is_entry(field):
                for inner in value if field.label == field.LABEL_REPEATED else [value]:
                    self.unknown_enums(inner)
        return message

    def extreme(self, name):
        return self.stretch(self.classes[name]())

    def stretch(self, message):
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            message.FromJsonString("9999-12-31T23:59:59.999999999Z")
        elif name == "google.protobuf.Duration":
            message.seconds, message.nanos = -315576000000, -999999999
        elif name == "google.protobuf.FieldMask":
            message.paths.extend(["a", "a_b_c.d1.e_f"])
        elif name == "google.protobuf.Any":
            message.Pack(self.extreme("google.rpc.BadRequest"))
        else:
            for field in message.DESCRIPTOR.fields:
                oneof = field.containing_oneof
                if oneof is None or oneof.fields[0] is field:
                    self.stretch_field(message, field)
        return message

    def stretch_field(self, message, field):
        value = getattr(message, field.name)
        if wire.is_entry(field):
            for key in ("", LONGEST, "k"):
                if hasattr(value[key], "DESCRIPTOR"):
                    self.stretch(value[key]) if key == "" else None
                else:
                    value[key] = {"": LONGEST, "k": ""}.get(key, "v")
        elif field.label == field.LABEL_REPEATED:
            if field.message_type is not None:
                value.add()
                self.stretch(value.add())
            else:
                value.extend([ZEROES.get(field.type, 0), EXTREMES[field.type]])
        elif field.message_type is None:
            setattr(message, field.name, EXTREMES[field.type])
        else:
            value.SetInParent()
            self.stretch(value)
