// What AsyncAPI's parser says of documents: answers each file name on standard input with a JSON object
// {valid, errors, channels, messages}.  The payloads' protobuf is parsed too.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { Parser } = require('@asyncapi/parser');
const { ProtoBuffSchemaParser } = require('@asyncapi/protobuf-schema-parser');

async function look(path) {
  const parser = new Parser();
  parser.registerSchemaParser(ProtoBuffSchemaParser());
  const { document, diagnostics } = await parser.parse(fs.readFileSync(path, 'utf8'));
  const errors = diagnostics.filter((one) => one.severity < 2).map((one) => `${one.path.join('.')}: ${one.message}`);
  if (document === undefined) return { valid: false, errors };
  return { valid: errors.length === 0, errors,
    channels: document.channels().all().map((channel) => channel.address()),
    messages: document.messages().all().map((message) => ({ name: message.name(),
      payload: Object.keys(message.payload().json().schema.properties) })) };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await look(line)));
  }
})();
