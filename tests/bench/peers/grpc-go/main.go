// grpc-go as a peer of the bench: mutual TLS, one method, the same bytes in every answer.
//
//	grpc-go PKI-FOLDER MESSAGE-BYTES
//
// Prints `ready PORT`.  The codec passes bytes through: what is measured is the server, not protobuf.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*value.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, value any) error {
	*value.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = bytesCodec{}

func transport(pki string) credentials.TransportCredentials {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(pki, "tenant-service.pem"), filepath.Join(pki, "tenant-service.key"))
	fail(err)
	authority, err := os.ReadFile(filepath.Join(pki, "ca.pem"))
	fail(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
	})
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc-go:", err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: grpc-go PKI-FOLDER MESSAGE-BYTES")
		os.Exit(2)
	}
	size, err := strconv.Atoi(os.Args[2])
	fail(err)
	answer := make([]byte, size)
	getTenant := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		return &answer, nil
	}
	server := grpc.NewServer(grpc.Creds(transport(os.Args[1])), grpc.ForceServerCodecV2(bytesCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "tenant.v1.TenantService",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "GetTenant", Handler: getTenant}},
	}, struct{}{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	fail(server.Serve(listener))
}
