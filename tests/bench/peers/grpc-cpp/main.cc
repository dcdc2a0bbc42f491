// gRPC C++ (its callback API) as a peer of the bench: mutual TLS, the same bytes in every answer.
//
//     grpc-cpp PKI-FOLDER MESSAGE-BYTES
//
// Prints `ready PORT`.  The generic service passes bytes through: what is measured is the server, not protobuf.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace {

class Answer final : public grpc::ServerGenericBidiReactor {
  public:
    explicit Answer(const grpc::ByteBuffer *answer) : answer_(answer) { StartRead(&request_); }

    void OnReadDone(bool ok) override
    {
        if (ok)
            StartWriteAndFinish(answer_, grpc::WriteOptions(), grpc::Status::OK);
        else
            Finish(grpc::Status(grpc::StatusCode::INTERNAL, "no message"));
    }

    void OnDone() override { delete this; }

  private:
    const grpc::ByteBuffer *answer_;
    grpc::ByteBuffer request_;
};

class Service final : public grpc::CallbackGenericService {
  public:
    explicit Service(size_t size)
    {
        grpc::Slice slice(std::string(size, '\0'));
        answer_ = grpc::ByteBuffer(&slice, 1);
    }

    grpc::ServerGenericBidiReactor *CreateReactor(grpc::GenericCallbackServerContext *) override
    {
        return new Answer(&answer_);
    }

  private:
    grpc::ByteBuffer answer_;
};

std::string File(const std::string &path)
{
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: grpc-cpp PKI-FOLDER MESSAGE-BYTES\n");
        return 2;
    }
    std::string pki = argv[1];
    grpc::SslServerCredentialsOptions tls(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = File(pki + "/ca.pem");
    tls.pem_key_cert_pairs.push_back(
        {File(pki + "/tenant-service.key"), File(pki + "/tenant-service.pem")});
    Service service(std::strtoul(argv[2], nullptr, 10));
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
    builder.RegisterCallbackGenericService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || port == 0) {
        std::fprintf(stderr, "grpc-cpp: the server did not start\n");
        return 1;
    }
    std::printf("ready %d\n", port);
    std::fflush(stdout);
    server->Wait();
}
