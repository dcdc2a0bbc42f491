//! tonic as a peer of the bench: mutual TLS, one method, the same bytes in every answer.
//!
//!     tonic-peer PKI-FOLDER MESSAGE-BYTES
//!
//! Prints `ready PORT`.  The codec passes bytes through: what is measured is the server, not protobuf.
use bytes::{Buf, BufMut, Bytes};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

#[derive(Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;
    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }
    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let size = from.remaining();
        Ok(Some(from.copy_to_bytes(size)))
    }
}

#[derive(Clone)]
struct Service {
    answer: Bytes,
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl UnaryService<Bytes> for Service {
    type Response = Bytes;
    type Future = Answering<Response<Bytes>, Status>;
    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let answer = self.answer.clone();
        Box::pin(async move { Ok(Response::new(answer)) })
    }
}

impl NamedService for Service {
    const NAME: &'static str = "tenant.v1.TenantService";
}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering<Self::Response, Infallible>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(BytesCodec).unary(service, request).await) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: tonic-peer PKI-FOLDER MESSAGE-BYTES");
        std::process::exit(2);
    }
    let file = |name: &str| std::fs::read(format!("{}/{name}", arguments[1]));
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(file("tenant-service.pem")?, file("tenant-service.key")?))
        .client_ca_root(Certificate::from_pem(file("ca.pem")?));
    let answer = Bytes::from(vec![0u8; arguments[2].parse()?]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?.port());
    Server::builder()
        .tls_config(tls)?
        .tcp_nodelay(true)
        .add_service(Service { answer })
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
