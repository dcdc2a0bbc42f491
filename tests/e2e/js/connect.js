// The same service through connect-node, the stock client of Connect and gRPC-Web (and gRPC), in both codecs.
'use strict';

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { createFileRegistry, fromBinary } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');
const { Code, ConnectError, createClient } = require('@connectrpc/connect');
const node = require('@connectrpc/connect-node');

const root = path.resolve(__dirname, '../../..');

function registryOf(...files) {
  const set = path.join(root, 'build/test-logs/connect-js.binpb');
  execFileSync('protoc', ['-I', path.join(root, 'proto'), '-I', '/usr/include', '--include_imports',
    `--descriptor_set_out=${set}`, ...files]);
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(set)));
}

const registry = registryOf('tenant/v1/tenants.proto', 'grpc/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto', 'google/rpc/error_details.proto');

const kinds = {
  'Connect JSON': (options) => node.createConnectTransport({ ...options, useBinaryFormat: false }),
  'Connect proto': (options) => node.createConnectTransport({ ...options, useBinaryFormat: true }),
  'Connect GET JSON': (options) =>
    node.createConnectTransport({ ...options, useBinaryFormat: false, useHttpGet: true }),
  'Connect GET proto': (options) =>
    node.createConnectTransport({ ...options, useBinaryFormat: true, useHttpGet: true }),
  'Connect JSON, gzip': (options) => node.createConnectTransport({
    ...options, useBinaryFormat: false, sendCompression: node.compressionGzip, compressMinBytes: 0 }),
  'gRPC-Web': (options) => node.createGrpcWebTransport({ ...options, useBinaryFormat: true }),
  'gRPC-Web, gzip': (options) => node.createGrpcWebTransport({
    ...options, useBinaryFormat: true, sendCompression: node.compressionGzip, compressMinBytes: 0 }),
  gRPC: (options) => node.createGrpcTransport({ ...options, useBinaryFormat: true }),
};

function transportFor(kind, address, identity) {
  const read = (name) => fs.readFileSync(path.join(process.env.STACK_PKI, name));
  const manager = new node.Http2SessionManager(`https://${address}`, {},
    { ca: read('ca.pem'), key: read(`${identity}.key`), cert: read(`${identity}.pem`),
      servername: 'localhost' });
  const transport = kinds[kind]({ baseUrl: `https://${address}`, httpVersion: '2',
    sessionManager: manager, acceptCompression: [node.compressionGzip] });
  return { client: (service) => createClient(registry.getService(service), transport),
    close: () => manager.abort() };
}

async function refused(code, promise) {
  const error = await promise.then((answer) => assert.fail(`got ${JSON.stringify(answer)}`),
    (thrown) => ConnectError.from(thrown));
  assert.strictEqual(error.code, code, error.message);
  return error;
}

async function unaryCalls(tenants, unique) {
  const slug = unique();
  let initial;
  const { tenant } = await tenants.createTenant(
    { tenant: { slug, displayName: 'Ünï', homeRegion: 'eu', labels: { env: 'prod' } } });
  assert.deepStrictEqual([tenant.slug, tenant.displayName, tenant.labels],
    [slug, 'Ünï', { env: 'prod' }]);
  const got = await tenants.getTenant({ tenantId: tenant.tenantId },
    { headers: { 'x-tenant-id': tenant.tenantId }, onHeader: (fields) => { initial = fields; } });
  assert.deepStrictEqual(got.tenant, tenant);
  assert.match(initial.get('x-source'), /^(memory|redis|primary)$/);
  const listed = await tenants.listTenants({ filter: `slug = "${slug}"` }, { timeoutMs: 20000 });
  assert.deepStrictEqual(listed.tenants.map((one) => one.slug), [slug]);

  const taken = await refused(Code.AlreadyExists, tenants.createTenant(
    { tenant: { slug, displayName: 'X', homeRegion: 'eu' } }));
  assert.match(taken.rawMessage, /^SLUG_TAKEN: /);
  const [info] = taken.findDetails(registry.getMessage('google.rpc.ErrorInfo'));
  assert.strictEqual(info.reason, 'SLUG_TAKEN');
  const wrong = await refused(Code.InvalidArgument, tenants.createTenant({ tenant: { slug: 'NO' } }));
  assert.ok(wrong.findDetails(registry.getMessage('google.rpc.BadRequest'))[0].fieldViolations.length > 1);
  await refused(Code.NotFound, tenants.getTenant({ tenantId: 'tnt_01H455VB4PEX5VSKNK084SN02Q' }));
  await refused(Code.ResourceExhausted, tenants.createTenant(
    { tenant: { slug, displayName: 'x'.repeat(2 << 20) } }));
}

async function watches(health) {
  const stop = new AbortController();
  const answers = health.watch({ service: 'tenant.v1.TenantService' }, { signal: stop.signal });
  for await (const { status } of answers) {
    assert.strictEqual(status, 1);
    break;
  }
  stop.abort();
  await assert.rejects(async () => {
    for await (const answer of health.watch({}, { timeoutMs: 200 })) assert.strictEqual(answer.status, 1);
  }, (error) => ConnectError.from(error).code === Code.DeadlineExceeded);
}

async function reflects(reflection) {
  async function* questions() {
    yield { messageRequest: { case: 'listServices', value: '' } };
    yield { messageRequest: { case: 'fileByFilename', value: 'absent.proto' } };
  }
  const answers = [];
  for await (const { messageResponse } of reflection.serverReflectionInfo(questions()))
    answers.push(messageResponse);
  assert.deepStrictEqual(answers.map(({ case: kind }) => kind), ['listServicesResponse', 'errorResponse']);
}

// address() is known once the service runs.
module.exports = (test, address, unique) => {
  for (const kind of Object.keys(kinds)) {
    test(`${kind}: connect-node calls, is refused and streams`, async () => {
      const admin = transportFor(kind, address(), 'admin');
      const stranger = transportFor(kind, address(), 'stranger');
      try {
        await unaryCalls(admin.client('tenant.v1.TenantService'), unique);
        await refused(Code.PermissionDenied,
          stranger.client('tenant.v1.TenantService').getTenant({ tenantId: 'x' }));
        await watches(admin.client('grpc.health.v1.Health'));
        if (!kind.startsWith('gRPC-Web')) { // which has no streams from clients
          await reflects(admin.client('grpc.reflection.v1.ServerReflection'));
          await refused(Code.PermissionDenied, reflects(stranger.client('grpc.reflection.v1.ServerReflection')));
        }
      } finally {
        admin.close();
        stranger.close();
      }
    });
  }
};
