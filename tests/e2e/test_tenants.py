"""The four methods: what callers get, and what they get refused."""
import grpc
import pytest

from support import create, get, header, refused, update
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode


def lookup(service, slug, identity="admin"):
    return service.stub(identity).LookupTenant(pb.LookupTenantRequest(slug=slug), timeout=10).tenant


def test_create_fills_defaults_and_returns_the_stored_tenant(service, unique):
    slug = unique()
    tenant = create(service, slug, display_name="Ac me ✓")
    assert tenant.tenant_id.startswith("tnt_") and len(tenant.tenant_id) == 30
    assert (tenant.slug, tenant.display_name, tenant.home_region) == (slug, "Ac me ✓", "eu")
    assert tenant.type == pb.TENANT_TYPE_ORG and tenant.status == pb.TENANT_STATUS_TRIAL
    assert tenant.settings.default_locale == "en"
    assert tenant.etag and tenant.create_time.seconds > 0
    assert tenant.create_time == tenant.update_time
    assert get(service, tenant.tenant_id) == tenant


def test_create_keeps_every_field(service, unique):
    tenant = create(
        service, unique(), type=pb.TENANT_TYPE_HYBRID, labels={"env": "prod", "a/b.c": ""},
        plan=pb.Plan(plan_id="plan_pro", addons=["ai_tutor", "a1"]),
        settings=pb.TenantSettings(
            default_locale="de", allowed_locales=["de", "en-GB"], mfa_required=True,
            offline_enabled=True, ai_enabled=True, branding_theme={"primaryColor": "#ff0000"}))
    stored = get(service, tenant.tenant_id)
    assert stored == tenant
    assert dict(stored.labels) == {"env": "prod", "a/b.c": ""}
    assert list(stored.plan.addons) == ["a1", "ai_tutor"]
    assert dict(stored.settings.branding_theme) == {"primaryColor": "#ff0000"}
    assert stored.settings.mfa_required and stored.settings.allowed_locales == ["de", "en-GB"]


def test_create_ignores_output_only_fields(service, unique):
    tenant = create(service, unique(), tenant_id="tnt_00000000000000000000000000",
                    status=pb.TENANT_STATUS_CLOSED, etag="nonsense")
    assert tenant.tenant_id != "tnt_00000000000000000000000000"
    assert tenant.status == pb.TENANT_STATUS_TRIAL


@pytest.mark.parametrize("fields, field, rule", [
    ({"slug": "UPPER"}, "tenant.slug", "lower-case"),
    ({"slug": "ab"}, "tenant.slug", "3 to 63"),
    ({"slug": ""}, "tenant.slug", "must be set"),
    ({"display_name": ""}, "tenant.display_name", "must be set"),
    ({"display_name": "x" * 201}, "tenant.display_name", "200 characters"),
    ({"display_name": " x"}, "tenant.display_name", "white space"),
    ({"labels": {"UP": "x"}}, "tenant.labels[UP]", "lower-case"),
    ({"labels": {"k": "v" * 257}}, "tenant.labels[k]", "256 bytes"),
    ({"settings": pb.TenantSettings(default_locale="?")}, "tenant.settings.default_locale", "RFC 5646"),
    ({"home_region": ""}, "tenant.home_region", "must be set"),
    ({"type": 77}, "tenant.type", "TenantType"),
])
def test_create_names_field_and_rule(service, unique, fields, field, rule):
    error = refused(create, service, fields.pop("slug", unique()), **fields)
    assert error.code == CODE.INVALID_ARGUMENT, error
    assert rule in error.fields[field], error
    assert error.message.startswith(f"{error.reason}: ")


def test_create_reports_all_broken_rules_at_once(service):
    error = refused(create, service, "X", display_name="", labels={"1": ""})
    assert set(error.fields) == {"tenant.slug", "tenant.display_name", "tenant.labels[1]"}


def test_create_with_a_broken_plan(service, unique):
    error = refused(create, service, unique(), plan=pb.Plan(plan_id="gold"))
    assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "INVALID_PLAN")
    assert "tenant.plan.plan_id" in error.fields


def test_create_without_a_tenant(service):
    error = refused(service.stub().CreateTenant, pb.CreateTenantRequest(), timeout=10)
    assert error.code == CODE.INVALID_ARGUMENT
    assert "tenant" in error.fields


def test_create_for_another_region(service, unique):
    error = refused(create, service, unique(), home_region="us")
    assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "WRONG_REGION")
    assert error.metadata["home_region"] == "us"


def test_create_for_an_unknown_region(service, unique):
    error = refused(create, service, unique(), home_region="mars")
    assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REGION")


def test_a_slug_is_given_once(service, unique):
    slug = unique()
    create(service, slug)
    error = refused(create, service, slug)
    assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "SLUG_TAKEN")


def test_create_validate_only_stores_nothing(service, unique):
    slug = unique()
    request = pb.CreateTenantRequest(
        tenant=pb.Tenant(slug=slug, display_name="X", home_region="eu"), validate_only=True)
    answer = service.stub().CreateTenant(request, timeout=10)
    assert answer.tenant.slug == slug
    error = refused(lookup, service, slug)
    assert error.code == CODE.NOT_FOUND
    create(service, slug)
    error = refused(service.stub().CreateTenant, request, timeout=10)
    assert error.reason == "SLUG_TAKEN"


def test_get_unknown_and_malformed_ids(service):
    error = refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q")
    assert (error.code, error.reason) == (CODE.NOT_FOUND, "TENANT_NOT_FOUND")
    for wrong in ("", "acme", "tnt_", "usr_01H455VB4PEX5VSKNK084SN02Q", "tnt_01H455VB4PEX5VSKNK084SN0IQ"):
        error = refused(get, service, wrong)
        assert error.code == CODE.INVALID_ARGUMENT, (wrong, error)
        assert "tenant_id" in error.fields


def test_get_accepts_the_other_prefix_and_lower_case(service, unique):
    tenant = create(service, unique())
    assert get(service, "ten_" + tenant.tenant_id[4:]) == tenant
    assert get(service, "tnt_" + tenant.tenant_id[4:].lower()) == tenant


def test_lookup_finds_by_slug(service, unique):
    tenant = create(service, unique(), labels={"env": "prod"})
    assert lookup(service, tenant.slug) == tenant
    error = refused(lookup, service, unique())
    assert (error.code, error.reason) == (CODE.NOT_FOUND, "TENANT_NOT_FOUND")
    error = refused(lookup, service, "NOT A SLUG")
    assert error.code == CODE.INVALID_ARGUMENT and "slug" in error.fields


def test_lookup_shows_others_the_public_fields_only(service, unique):
    tenant = create(service, unique(), labels={"env": "prod"})
    for identity in ("api-gateway", "sync-service"):
        found = lookup(service, tenant.slug, identity)
        assert found == pb.Tenant(
            tenant_id=tenant.tenant_id, slug=tenant.slug, display_name=tenant.display_name,
            type=tenant.type, home_region="eu", status=tenant.status)


def test_lookup_sees_a_new_tenant_at_once(service, unique):
    slug = unique()
    assert refused(lookup, service, slug).code == CODE.NOT_FOUND
    tenant = create(service, slug)
    assert lookup(service, slug).tenant_id == tenant.tenant_id


def test_update_with_a_mask_changes_only_what_it_names(service, unique):
    tenant = create(service, unique(), labels={"env": "prod"})
    patch = pb.Tenant(tenant_id=tenant.tenant_id, display_name="New", labels={"other": "x"})
    changed = update(service, patch, ["display_name"])
    assert changed.display_name == "New" and dict(changed.labels) == {"env": "prod"}
    assert changed.etag != tenant.etag
    assert changed.update_time.ToNanoseconds() >= tenant.update_time.ToNanoseconds()
    assert changed.create_time == tenant.create_time
    assert get(service, tenant.tenant_id) == changed


def test_update_without_a_mask_takes_the_populated_fields(service, unique):
    tenant = create(service, unique(), labels={"env": "prod"})
    changed = update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="New"), [])
    assert changed.display_name == "New" and dict(changed.labels) == {"env": "prod"}


def test_update_can_clear_with_a_mask(service, unique):
    tenant = create(service, unique(), labels={"env": "prod"}, plan=pb.Plan(plan_id="plan_pro"))
    changed = update(service, pb.Tenant(tenant_id=tenant.tenant_id), ["labels", "plan"])
    assert not changed.labels and not changed.HasField("plan")


def test_update_nested_paths(service, unique):
    tenant = create(service, unique(), settings=pb.TenantSettings(default_locale="fr"))
    patch = pb.Tenant(tenant_id=tenant.tenant_id,
                      settings=pb.TenantSettings(mfa_required=True, default_locale="de"))
    changed = update(service, patch, ["settings.mfa_required"])
    assert changed.settings.mfa_required and changed.settings.default_locale == "fr"


def test_update_that_changes_nothing_keeps_the_etag(service, unique):
    tenant = create(service, unique())
    same = update(service, tenant, ["display_name"])
    assert same == tenant


def test_update_moves_the_slug(service, unique):
    tenant = create(service, unique())
    other = create(service, unique())
    fresh = unique()
    changed = update(service, pb.Tenant(tenant_id=tenant.tenant_id, slug=fresh), ["slug"])
    assert changed.slug == fresh
    assert lookup(service, fresh).tenant_id == tenant.tenant_id
    assert refused(lookup, service, tenant.slug).code == CODE.NOT_FOUND
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id, slug=other.slug), ["slug"])
    assert error.reason == "SLUG_TAKEN"


def test_update_checks_the_etag(service, unique):
    tenant = create(service, unique())
    first = update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="1",
                                      etag=tenant.etag), ["display_name"])
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="2",
                                               etag=tenant.etag), ["display_name"])
    assert (error.code, error.reason) == (CODE.ABORTED, "VERSION_CONFLICT")
    assert get(service, tenant.tenant_id).display_name == "1"
    update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="3", etag=first.etag),
           ["display_name"])


@pytest.mark.parametrize("path", ["tenant_id", "status", "etag", "create_time", "nonsense",
                                  "settings.nonsense", "displayName", ""])
def test_update_refuses_paths_that_cannot_be_updated(service, unique, path):
    tenant = create(service, unique())
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id), [path])
    assert error.code == CODE.INVALID_ARGUMENT
    assert "update_mask" in error.fields


def test_update_keeps_the_home_region(service, unique):
    tenant = create(service, unique())
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id, home_region="us"),
                    ["home_region"])
    assert error.reason == "HOME_REGION_IMMUTABLE"
    assert error.code == CODE.FAILED_PRECONDITION
    same = update(service, pb.Tenant(tenant_id=tenant.tenant_id, home_region="eu"), ["home_region"])
    assert same.home_region == "eu"


def test_update_names_field_and_rule(service, unique):
    tenant = create(service, unique())
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id, display_name=""),
                    ["display_name"])
    assert error.code == CODE.INVALID_ARGUMENT and "tenant.display_name" in error.fields
    error = refused(update, service, pb.Tenant(tenant_id="tnt_x"), ["display_name"])
    assert "tenant.tenant_id" in error.fields
    error = refused(service.stub().UpdateTenant, pb.UpdateTenantRequest(), timeout=10)
    assert error.code == CODE.INVALID_ARGUMENT


def test_update_of_an_unknown_tenant(service):
    error = refused(update, service, pb.Tenant(tenant_id="tnt_01H455VB4PEX5VSKNK084SN02Q",
                                               display_name="x"), ["display_name"])
    assert (error.code, error.reason) == (CODE.NOT_FOUND, "TENANT_NOT_FOUND")


def test_update_validate_only_stores_nothing(service, unique):
    tenant = create(service, unique())
    request = pb.UpdateTenantRequest(
        tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="New"), validate_only=True)
    assert service.stub().UpdateTenant(request, timeout=10).tenant.display_name == "New"
    assert get(service, tenant.tenant_id) == tenant


def test_a_stored_tenant_of_another_region(service, stack, unique):
    tenant = create(service, unique())
    slug = unique()
    with stack.superuser() as sql:
        row = sql.execute(
            "INSERT INTO tenant.tenants SELECT (jsonb_populate_record(t, jsonb_build_object("
            "'id', gen_random_uuid(), 'slug', %s::text, 'home_region', 'us'))).* "
            "FROM tenant.tenants t WHERE slug = %s RETURNING id", (slug, tenant.slug)).fetchone()
    foreign = id_text(row[0])
    calls = [
        (get, (service, foreign)),
        (lookup, (service, slug)),
        (update, (service, pb.Tenant(tenant_id=foreign, display_name="x"), ["display_name"])),
    ]
    for function, arguments in calls:
        error = refused(function, *arguments)
        assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "WRONG_REGION"), function
        assert error.metadata["home_region"] == "us"


def test_the_own_regions_row_wins_a_lookup(service, stack, unique):
    tenant = create(service, unique())
    with stack.superuser() as sql:
        sql.execute(
            "INSERT INTO tenant.tenants SELECT (jsonb_populate_record(t, jsonb_build_object("
            "'id', gen_random_uuid(), 'home_region', 'ap'))).* "
            "FROM tenant.tenants t WHERE slug = %s", (tenant.slug,))
    assert lookup(service, tenant.slug).tenant_id == tenant.tenant_id


def id_text(uuid):
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = uuid.int
    return "tnt_" + "".join(digits[(number >> shift) & 31] for shift in range(125, -1, -5))


# --- who may call what -------------------------------------------------------------------------------


def test_the_gateway_needs_the_tenants_header(service, unique):
    tenant, other = create(service, unique(), "api-gateway"), create(service, unique())
    assert get(service, tenant.tenant_id, "api-gateway", metadata=header(tenant.tenant_id)) == tenant
    changed = update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="New"),
                     ["display_name"], "api-gateway", metadata=header(tenant.tenant_id))
    assert changed.display_name == "New"
    for metadata in ((), header(other.tenant_id), header("nonsense"), header("")):
        for call in (
            lambda m: get(service, tenant.tenant_id, "api-gateway", metadata=m),
            lambda m: update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="x"),
                             ["display_name"], "api-gateway", metadata=m),
        ):
            error = refused(call, metadata)
            assert error.code == CODE.PERMISSION_DENIED, (metadata, error)
    assert get(service, tenant.tenant_id).display_name == "New"


def test_the_header_may_be_spelled_as_any_id(service, unique):
    tenant = create(service, unique())
    spelled = "ten_" + tenant.tenant_id[4:].lower()
    assert get(service, tenant.tenant_id, "api-gateway", metadata=header(spelled)) == tenant


@pytest.mark.parametrize("identity", ["admin", "sync-service"])
def test_the_header_may_be_left_out_but_not_wrong(service, unique, identity):
    tenant, other = create(service, unique()), create(service, unique())
    assert get(service, tenant.tenant_id, identity) == tenant
    assert get(service, tenant.tenant_id, identity, metadata=header(tenant.tenant_id)) == tenant
    error = refused(get, service, tenant.tenant_id, identity, metadata=header(other.tenant_id))
    assert error.code == CODE.PERMISSION_DENIED


def test_sync_service_may_not_write(service, unique):
    tenant = create(service, unique())
    error = refused(create, service, unique(), "sync-service")
    assert error.code == CODE.PERMISSION_DENIED and "CreateTenant" in str(error.metadata) + error.message
    error = refused(update, service, tenant, ["display_name"], "sync-service")
    assert error.code == CODE.PERMISSION_DENIED


@pytest.mark.parametrize("identity", ["stranger", "tenant-service"])
def test_a_valid_certificate_without_rights(service, unique, identity):
    tenant = create(service, unique())
    for call in (lambda: get(service, tenant.tenant_id, identity),
                 lambda: get(service, tenant.tenant_id, identity, metadata=header(tenant.tenant_id)),
                 lambda: lookup(service, tenant.slug, identity),
                 lambda: create(service, unique(), identity),
                 lambda: update(service, tenant, ["display_name"], identity)):
        error = refused(call)
        assert error.code == CODE.PERMISSION_DENIED and error.reason, error
