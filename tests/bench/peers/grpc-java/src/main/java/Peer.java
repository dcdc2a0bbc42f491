import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.ClientAuth;
import io.grpc.stub.ServerCalls;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;

/**
 * grpc-java (Netty) as a peer of the bench: mutual TLS, one method, the same bytes in every answer.
 *
 * <p>Arguments: PKI-FOLDER MESSAGE-BYTES. Prints {@code ready PORT}. Bytes are passed through: what is measured is the
 * server, not protobuf.
 */
public final class Peer {
    private Peer() {}

    private static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    };

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2) {
            System.err.println("usage: grpc-java PKI-FOLDER MESSAGE-BYTES");
            System.exit(2);
        }
        File pki = new File(arguments[0]);
        byte[] answer = new byte[Integer.parseInt(arguments[1])];
        MethodDescriptor<byte[], byte[]> getTenant = MethodDescriptor.<byte[], byte[]>newBuilder(BYTES, BYTES)
                .setType(MethodDescriptor.MethodType.UNARY)
                .setFullMethodName("tenant.v1.TenantService/GetTenant")
                .build();
        ServerServiceDefinition service = ServerServiceDefinition.builder("tenant.v1.TenantService")
                .addMethod(getTenant, ServerCalls.asyncUnaryCall((request, observer) -> {
                    observer.onNext(answer);
                    observer.onCompleted();
                }))
                .build();
        Server server = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
                .sslContext(GrpcSslContexts.forServer(
                                new File(pki, "tenant-service.pem"), new File(pki, "tenant-service.key"))
                        .trustManager(new File(pki, "ca.pem"))
                        .clientAuth(ClientAuth.REQUIRE)
                        .build())
                .directExecutor()
                .addService(service)
                .build()
                .start();
        System.out.println("ready " + server.getPort());
        server.awaitTermination();
    }
}
