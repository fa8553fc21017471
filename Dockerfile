# syntax=docker/dockerfile:1
# The operator's image: one static program on distroless.  docker build --tag plumbline .
FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# The scenarios build the program with this command too, without --release.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --release --locked --target "$target" --package plumbline --bin plumbline \
    && cp "target/$target/release/plumbline" /plumbline

FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="plumbline" \
      org.opencontainers.image.description="Keeps a cloud directory true to the LDAP or Active Directory on the ground" \
      org.opencontainers.image.source="https://github.com/plumbline-dev/plumbline" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /plumbline /plumbline
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/plumbline"]
