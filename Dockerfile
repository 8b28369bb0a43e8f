# syntax=docker/dockerfile:1

# Builds the binary. C dependencies are compiled from their crates with the compiler of this image.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends postgresql valgrind && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    ./release.sh --locked \
    && install -D -m 0755 target/release/outflow /out/usr/local/bin/outflow \
    && install -d /out/var/lib/outflow

# The final image contains the C library, CA certificates and the binary. It has no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="outflow" \
      org.opencontainers.image.description="A gRPC service that governs what data leaves a platform" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/usr/local/bin/outflow /usr/local/bin/outflow
COPY --from=build --chown=65532:65532 --chmod=0700 /out/var/lib/outflow /var/lib/outflow
COPY LICENSE /usr/share/doc/outflow/LICENSE
ENV OUTFLOW_DATA_DIR=/var/lib/outflow
WORKDIR /var/lib/outflow
USER 65532:65532
EXPOSE 50051 50052
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/outflow", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/outflow"]
CMD ["serve"]
