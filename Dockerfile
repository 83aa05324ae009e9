# Two stages: build with the toolchain that Cargo.toml's `rust-version` names, run on a bare Debian.
# tests/tools/docker_steps.sh runs these steps without a Docker engine.
#
#   docker build -t tamis .
#   docker run --rm --read-only -v "$PWD":/work tamis run pipelines/quickstart.yaml
#   docker run --rm --read-only --tmpfs /tmp -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY -e AWS_REGION \
#       tamis task s3://corpora/my --pass 00-read --share 3/200      # or run, finish, train, ...
#   docker buildx build --platform linux/amd64,linux/arm64 .         # nothing below is of one architecture
#
# The container's user is 10001: the mounted folder must let it write the run directory, or give
# `--user "$(id -u):$(id -g)"`. Nothing is written outside of /work.

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY tests tests
RUN cargo build --release --locked --bin tamis

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 tamis \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /work --shell /usr/sbin/nologin tamis \
    && mkdir /work \
    && chown tamis:tamis /work
COPY LICENSE /usr/share/doc/tamis/LICENSE
COPY --from=build /src/target/release/tamis /usr/local/bin/tamis
USER 10001:10001
WORKDIR /work
VOLUME /work
ENTRYPOINT ["tamis"]
