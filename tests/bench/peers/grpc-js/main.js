// grpc-js as a peer of the bench: mutual TLS, one method, the same bytes in every answer.
//
//     node main.js PKI-FOLDER MESSAGE-BYTES
//
// Prints `ready PORT`.  Bytes are passed through: what is measured is the server, not protobuf.
'use strict';
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');

const [pki, size] = process.argv.slice(2);
if (!size) {
  console.error('usage: node main.js PKI-FOLDER MESSAGE-BYTES');
  process.exit(2);
}
const answer = Buffer.alloc(Number(size));
const asIs = (bytes) => bytes;
const service = {
  GetTenant: {
    path: '/tenant.v1.TenantService/GetTenant',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};
const file = (name) => fs.readFileSync(path.join(pki, name));
const server = new grpc.Server();
server.addService(service, { GetTenant: (call, done) => done(null, answer) });
const credentials = grpc.ServerCredentials.createSsl(
  file('ca.pem'),
  [{ private_key: file('tenant-service.key'), cert_chain: file('tenant-service.pem') }],
  true,
);
server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
  if (error) {
    console.error(`grpc-js: ${error.message}`);
    process.exit(1);
  }
  console.log(`ready ${port}`);
});
