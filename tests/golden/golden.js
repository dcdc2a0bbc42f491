// Golden payloads through @bufbuild/protobuf: answers each line `NAME BASE64 JSON` with a JSON object
// {json, bytes, back}: the sample's JSON, the sample encoded again, and the message that the JSON means.
//
//   node golden.js DESCRIPTORS
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { createFileRegistry, fromBinary, fromJsonString, toBinary, toJson } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(process.argv[2])));
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, data, json] = JSON.parse(line);
  const schema = registry.getMessage(name);
  let answer;
  try {
    const message = fromBinary(schema, Buffer.from(data, 'base64'));
    answer = { json: toJson(schema, message, { registry }), bytes: base64(toBinary(schema, message)),
      back: base64(toBinary(schema, fromJsonString(schema, json, { registry }))) };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
});
