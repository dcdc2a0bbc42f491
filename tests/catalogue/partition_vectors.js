// contracts/partition.js against the committed vectors: prints how many it got right, of how many.
'use strict';

const { partition, stream, subject } = require('../../contracts/partition.js');
const { vectors } = require('../../contracts/partition-vectors.json');

const right = vectors.filter((one) => partition(one.tenant_id) === Number(one.partition) && stream(one.tenant_id) === one.stream
  && subject('tenant.org.updated.v1', one.tenant_id) === `tenant.org.updated.v1.${one.partition}`);
const last = vectors[vectors.length - 1].tenant_id;
const spelled = [`tnt_${last.slice(4).toLowerCase()}`, `${last}\n`, `tnt_8${last.slice(5)}`,
  ...[...'ILOU*'].map((digit) => last.slice(0, 29) + digit)];
for (const wrong of ['', 'tnt_', `ten_${'0'.repeat(26)}`, `tnt_${'0'.repeat(25)}`, `tnt_${'0'.repeat(25)}é`, ...spelled]) {
  let refused = false;
  try { partition(wrong); } catch (error) { refused = error instanceof RangeError; }
  if (!refused) throw new Error(`"${wrong}" was not refused`);
}
console.log(`${right.length} of ${vectors.length}`);
