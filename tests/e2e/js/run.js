// The four methods and their refusals through @grpc/grpc-js, the stock JavaScript client; connect.js adds
// connect-node.
//
// Needs a migrated stack in the environment (STACK_*).  Starts the service itself on free ports.  The last
// line is `N passed, N failed`.
'use strict';

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const root = path.resolve(__dirname, '../../..');
const mode = process.env.MODE || 'release';
const pki = process.env.STACK_PKI;
const S = grpc.status;

const definition = loader.loadSync('tenant/v1/tenants.proto', {
  includeDirs: [path.join(root, 'proto')], keepCase: true, longs: String, enums: String,
  defaults: true, oneofs: true,
});
const api = grpc.loadPackageDefinition(definition).tenant.v1;

const tests = [];
const test = (name, body) => tests.push({ name, body });

function startService() {
  const env = { ...process.env, TENANT_SERVER_PORT: '0', TENANT_OPS_PORT: '0',
    TENANT_NATS_REPLICAS: '1' };
  const log = fs.openSync(path.join(root, 'build/test-logs/service-js.log'), 'w');
  const child = spawn(path.join(root, 'build', mode, 'tenant-service'),
    ['serve', '--config', process.env.STACK_CONFIG], { env, stdio: ['ignore', 'pipe', log] });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { child.kill('SIGKILL'); reject(new Error('no ready line')); }, 30000);
    child.on('exit', (code) => reject(new Error(`the service ended with status ${code}`)));
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('ready: ')) return;
      clearTimeout(timer);
      resolve({ child, address: line.split(' ')[2] });
    });
  });
}

function clientFor(address, identity) {
  const read = (name) => fs.readFileSync(path.join(pki, name));
  return new api.TenantService(address, grpc.credentials.createSsl(
    read('ca.pem'), read(`${identity}.key`), read(`${identity}.pem`)));
}

let world;
let count = 0;
const unique = () => `js-${process.pid}-${Date.now().toString(36)}-${count++}`;

function call(method, request, { identity = 'admin', headers = {}, deadline = 10000 } = {}) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  return new Promise((resolve, reject) => {
    let initial;
    world.clients[identity][method](request, metadata, { deadline: Date.now() + deadline },
      (error, answer) => (error ? reject(error) : resolve(Object.assign(answer.tenant, { initial }))))
      .on('metadata', (fields) => { initial = fields; });
  });
}

async function refused(code, promise) {
  let answer;
  try {
    answer = await promise;
  } catch (error) {
    assert.strictEqual(error.code, code, `${error.code} ${error.details}`);
    return error;
  }
  return assert.fail(`expected code ${code}, got ${JSON.stringify(answer)}`);
}

const create = (fields = {}, options) =>
  call('CreateTenant', { tenant: { slug: unique(), display_name: 'JS', home_region: 'eu', ...fields } }, options);
const plain = ({ initial, ...tenant }) => tenant;

test('create, get and lookup give the same tenant', async () => {
  const made = await create({ labels: { env: 'prod' }, plan: { plan_id: 'plan_pro', addons: ['x'] } });
  assert.match(made.tenant_id, /^tnt_[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.strictEqual(made.status, 'TENANT_STATUS_TRIAL');
  const got = await call('GetTenant', { tenant_id: made.tenant_id });
  assert.deepStrictEqual(plain(got), plain(made));
  const found = await call('LookupTenant', { slug: made.slug });
  assert.deepStrictEqual(plain(found), plain(made));
});

test('answers name their source and the request', async () => {
  const made = await create();
  const got = await call('GetTenant', { tenant_id: made.tenant_id }, { headers: { 'x-request-id': 'js-1' } });
  assert.deepStrictEqual(got.initial.get('x-request-id'), ['js-1']);
  assert.match(got.initial.get('x-source')[0], /^(memory|redis|primary)$/);
});

test('update with a mask and with a stale etag', async () => {
  const made = await create({ labels: { a: '1' } });
  const changed = await call('UpdateTenant', {
    tenant: { tenant_id: made.tenant_id, display_name: 'New', etag: made.etag },
    update_mask: { paths: ['display_name'] } });
  assert.strictEqual(changed.display_name, 'New');
  assert.deepStrictEqual(changed.labels, { a: '1' });
  const error = await refused(S.ABORTED, call('UpdateTenant', {
    tenant: { tenant_id: made.tenant_id, display_name: 'Late', etag: made.etag },
    update_mask: { paths: ['display_name'] } }));
  assert.match(error.details, /^VERSION_CONFLICT: /);
});

test('refusals have their codes and reasons', async () => {
  const made = await create();
  const cases = [
    [S.ALREADY_EXISTS, /^SLUG_TAKEN: /, () => create({ slug: made.slug })],
    [S.INVALID_ARGUMENT, /: /, () => create({ slug: 'NO' })],
    [S.INVALID_ARGUMENT, /^INVALID_REGION: /, () => create({ home_region: 'mars' })],
    [S.FAILED_PRECONDITION, /^WRONG_REGION: /, () => create({ home_region: 'ap' })],
    [S.INVALID_ARGUMENT, /^INVALID_PLAN: /, () => create({ plan: { plan_id: 'Gold' } })],
    [S.NOT_FOUND, /^TENANT_NOT_FOUND: /, () => call('GetTenant', { tenant_id: 'tnt_01H455VB4PEX5VSKNK084SN02Q' })],
    [S.NOT_FOUND, /^TENANT_NOT_FOUND: /, () => call('LookupTenant', { slug: unique() })],
    [S.INVALID_ARGUMENT, /: /, () => call('GetTenant', { tenant_id: 'x' })],
    [S.INVALID_ARGUMENT, /: /, () => call('UpdateTenant', { tenant: { tenant_id: made.tenant_id }, update_mask: { paths: ['etag'] } })],
    [S.FAILED_PRECONDITION, /^HOME_REGION_IMMUTABLE: /, () => call('UpdateTenant', { tenant: { tenant_id: made.tenant_id, home_region: 'us' }, update_mask: { paths: ['home_region'] } })],
    [S.PERMISSION_DENIED, /: /, () => create({}, { identity: 'stranger' })],
    [S.PERMISSION_DENIED, /: /, () => create({}, { identity: 'sync-service' })],
    [S.PERMISSION_DENIED, /: /, () => call('GetTenant', { tenant_id: made.tenant_id }, { identity: 'api-gateway' })],
  ];
  for (const [code, text, attempt] of cases) {
    const error = await refused(code, attempt());
    assert.match(error.details, text);
    assert.ok(error.metadata.get('grpc-status-details-bin').length === 1, error.details);
  }
});

test('the gateway with the right and the wrong header', async () => {
  const made = await create();
  const other = await create();
  const options = (id) => ({ identity: 'api-gateway', headers: { 'x-tenant-id': id } });
  const got = await call('GetTenant', { tenant_id: made.tenant_id }, options(made.tenant_id));
  assert.strictEqual(got.slug, made.slug);
  await refused(S.PERMISSION_DENIED, call('GetTenant', { tenant_id: made.tenant_id }, options(other.tenant_id)));
});

test('lookup shows others the public fields only', async () => {
  const made = await create({ labels: { secret: 'x' } });
  const found = await call('LookupTenant', { slug: made.slug }, { identity: 'sync-service' });
  assert.deepStrictEqual(found.labels, {});
  assert.strictEqual(found.etag, '');
  assert.strictEqual(found.settings, null);
});

test('unknown methods and oversized messages', async () => {
  const made = await create();
  const unary = (route, bytes) => new Promise((resolve, reject) => world.clients.admin.makeUnaryRequest(
    route, (b) => b, (b) => b, bytes, {}, (error, answer) => (error ? reject(error) : resolve(answer))));
  await refused(S.UNIMPLEMENTED, unary('/tenant.v1.TenantService/Nonsense', Buffer.alloc(0)));
  await refused(S.INVALID_ARGUMENT, unary('/tenant.v1.TenantService/GetTenant', Buffer.from([0x0a, 5, 1])));
  await refused(S.RESOURCE_EXHAUSTED, unary('/tenant.v1.TenantService/GetTenant', Buffer.alloc(2 << 20)));
  await call('GetTenant', { tenant_id: made.tenant_id });
});

test('a thousand calls in flight on one connection', async () => {
  const made = await create();
  const answers = await Promise.all(Array.from({ length: 1000 }, () =>
    call('GetTenant', { tenant_id: made.tenant_id }, { deadline: 30000 })));
  for (const answer of answers) assert.strictEqual(answer.slug, made.slug);
});

test('a deadline that has passed', async () => {
  await refused(S.DEADLINE_EXCEEDED, create({}, { deadline: -1 }));
});

require('./connect')(test, () => world.address, unique);

async function main() {
  const { child, address } = await startService();
  world = { address, clients: {} };
  for (const identity of ['admin', 'api-gateway', 'sync-service', 'stranger'])
    world.clients[identity] = clientFor(address, identity);
  let passed = 0;
  let failed = 0;
  for (const { name, body } of tests) {
    try {
      await body();
      passed++;
      console.log(`ok      ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  }
  for (const client of Object.values(world.clients)) client.close();
  child.removeAllListeners('exit');
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code)));
  child.kill('SIGTERM');
  const status = await ended;
  if (status !== 0) {
    failed++;
    console.log(`FAILED  the service ended with status ${status}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.log(error.stack);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
});
