# reflectd in a container: five programs, the libraries they load, nothing else.
#   docker build -t reflectd .
#   docker build -t reflectd --build-arg GPU=ocl-icd-libopencl1 .     # with the loader of OpenCL, for GPUs
#   docker build -t reflectd --build-arg CUDA=13.0 .                  # with NVIDIA's libraries: 700 MB more
#   docker run -d --read-only --tmpfs /tmp -p 127.0.0.1:8080:8080 -v reflectd:/data -v /path/to/models:/models:ro \
#     -e REFLECTD_API_KEY=a-long-random-key --stop-timeout 40 reflectd
# The port is published on loopback only: put a TLS proxy before it to serve others. compose.yaml says the same, and more.
# Versions of Debian's packages are not pinned (DL3008): Debian keeps the newest alone, and a release changes no interface.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
      gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libsqlite3-dev libuv1-dev \
      libutf8proc-dev libpcre2-dev libcurl4-openssl-dev libarchive-dev nettle-dev opencl-c-headers libseccomp-dev libopenblas-dev \
      libpng-dev libjpeg62-turbo-dev libwebp-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make -s -j"$(nproc)" programs && make -s install-programs INSTALL_STRIP=-s DESTDIR=/installed

# libcuda is the driver's, and comes from the host (docker run --gpus all); cuBLASLt and NVRTC come from here.
FROM ${BASE} AS cuda
ARG CUDA=
# hadolint ignore=DL3008
RUN mkdir /cuda && if [ -n "${CUDA}" ]; then \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-pip \
      && pip download --no-cache-dir --no-deps -d /wheels "nvidia-cublas==${CUDA}.*" "nvidia-cuda-nvrtc==${CUDA}.*" \
      && for wheel in /wheels/*; do python3 -m zipfile -e "$wheel" /unpacked; done \
      && mv /unpacked/nvidia/cu*/lib/libcublasLt.so.* /unpacked/nvidia/cu*/lib/libnvrtc.so.* /unpacked/nvidia/cu*/lib/libnvrtc-builtins.so.* /cuda \
      && rm -rf /wheels /unpacked /var/lib/apt/lists/*; fi

FROM ${BASE}
ARG GPU=
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ${GPU} \
      libmicrohttpd12 libjansson4 libsqlite3-0 libuv1 libutf8proc2 libpcre2-8-0 libcurl4 \
      libarchive13 libnettle8 libseccomp2 libopenblas0-pthread libpng16-16 libjpeg62-turbo libwebp7 libwebpdemux2 \
      ca-certificates \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/cache/apt/*.bin /var/log/* \
    && mkdir -m 0700 /data && mkdir /models && chown 10001:10001 /data
COPY --from=cuda /cuda /usr/local/lib
COPY --from=build /installed /
RUN ldconfig
COPY LICENSE server/web/uPlot.LICENSE.txt /usr/share/doc/reflectd/
ARG REVISION=
LABEL org.opencontainers.image.title="reflectd" \
      org.opencontainers.image.description="Fine-tuning service: Householder reflection adapters in PEFT format" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV REFLECTD_DATA=/data REFLECTD_MODELS=/models REFLECTD_LISTEN=0.0.0.0:8080 REFLECTD_INSECURE_HTTP=true
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["reflectd", "healthcheck"]
ENTRYPOINT ["reflectd"]
